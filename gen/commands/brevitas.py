"""The command ``brevitas``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import CalibrationFile, JsonFile, RecipeName, split_names
from spikequant.golden.support.command_line import resumable

DEFAULT = "smoothquant-gptq,rotation-gptq,rotation-qronos-mse"


@resumable("with --json, finished settings are kept next to that file")
def brevitas(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="a float model, as for quantize")] = "smollm2",
    settings: Annotated[
        str, typer.Option(metavar="NAMES", help="settings of Brevitas, a list with commas; an unknown one lists all")
    ] = DEFAULT,
    text: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|FILE", help="text to score, as for eval; may be repeated", show_default="wikipedia"),
    ] = None,
    tokens: Annotated[int, typer.Option(metavar="N", help="tokens to score in each text")] = 4096,
    ctx: Annotated[int, typer.Option(metavar="N", help="tokens in a window; windows do not overlap")] = 512,
    environment: Annotated[
        Path, typer.Option(metavar="DIR", help="virtual environment of Brevitas, made where it is missing")
    ] = Path(".brevitas"),
    recipe: RecipeName = "compensated",
    calibration: CalibrationFile = None,
    calibration_tokens: Annotated[int, typer.Option(metavar="N", help="tokens of calibration text")] = 8192,
    json_file: JsonFile = None,
) -> None:
    """Quantize a model with Brevitas, a library that we did not write, and score it on the windows of eval.

    Weights and activations have 4 bits. Every text is read after the prefix that eval finds for the same --recipe; the
    recipe serves for nothing else. Brevitas is installed in an environment of its own, which takes minutes and
    gigabytes at first; a setting takes up to ten minutes for SmolLM2-135M on one core. With --json, an interrupted run
    resumes when the same command is started again.
    """
    from spikequant.gen.output import check_output
    from spikequant.golden.quantizer.recipe import load_recipe

    chosen = load_recipe(recipe)
    check_output(json_file)
    names = split_names(settings)

    from rich.console import Console

    from spikequant.benchmarks.brevitas.environment import environment_python
    from spikequant.benchmarks.brevitas.run import METHOD, SOURCE, SettingScore, check_settings, measure_settings
    from spikequant.benchmarks.brevitas.show import settings_table
    from spikequant.gen.output import show_written
    from spikequant.golden.comparison.evaluation_text import EvaluationText
    from spikequant.golden.comparison.external import ExternalRow, ExternalRows
    from spikequant.golden.comparison.show import number
    from spikequant.golden.evaluation.methods import Calibration, add_recipe_prefix
    from spikequant.golden.models.model import load_model
    from spikequant.golden.models.reading import model_windows
    from spikequant.golden.models.text import evaluation_corpus
    from spikequant.golden.support.store import ResultFolder

    check_settings(names)
    corpora = {name: evaluation_corpus(name) for name in text or ("wikipedia",)}
    progress = Console(stderr=True)
    with progress.status("making the environment of Brevitas, minutes at first"):
        python = environment_python(environment.absolute())
    language_model = load_model(model)
    # on the calibration text of eval, whose windows are the recipe's
    recipe_text = Calibration(calibration, chosen.calibration_tokens, chosen.calibration_context)
    add_recipe_prefix(language_model, chosen, recipe_text)
    texts = [
        EvaluationText(name, model_windows(language_model, corpus, tokens=tokens, context=ctx))
        for name, corpus in corpora.items()
    ]
    read = Calibration(calibration, calibration_tokens).windows(language_model)
    kept = ResultFolder(json_file and json_file.with_name(f"{json_file.name}.partial"), SettingScore)
    rows: list[ExternalRow] = []
    with progress.status("Brevitas, up to ten minutes a setting"):
        for found in measure_settings(language_model, names, texts, calibration=read, python=python, kept=kept):
            rows += found
            for row in found:
                progress.print(f"{row.label} on {row.text}: {number(row.ratio)} x fp", highlight=False)
    ExternalRows(model=model, method=METHOD, source=SOURCE, rows=rows).write(json_file)
    kept.clear()
    Console().print(settings_table(rows))
    show_written(json_file)
