"""The command ``eval``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.methods import SUMMARIES
from spikequant.gen.commands.options import (
    CalibrationFile,
    CalibrationTokens,
    JsonFile,
    PlotFile,
    RecipeName,
    SpecName,
    completion,
)
from spikequant.golden.support.command_line import FAILED, resumable
from spikequant.golden.support.errors import InputError

TOKENS = 4096
SWEEP_TOKENS = 2048
LAYER_SUFFIXES = (".json", ".html")


@resumable("with --json, finished rows are kept next to that file")
def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL_OR_DIR", help="a model as for quantize, or a folder that quantize wrote")
    ] = "smollm2",
    method: Annotated[
        str | None,
        typer.Option(
            help="a method (see `spikequant methods`), or all for a table of them",
            show_default="spikequant",
            autocompletion=completion(lambda: [*SUMMARIES, "all"]),
        ),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="with --method all: a quantized model to add as a row; may be repeated"),
    ] = None,
    row: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="with --method all: rows that brevitas measured on the same windows; may be repeated"
        ),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="text to score: wikipedia (held-out articles), news, or a file; may be repeated",
            show_default="wikipedia",
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="tokens to score in each text", show_default=f"{TOKENS}, in a sweep {SWEEP_TOKENS}"
        ),
    ] = None,
    ctx: Annotated[int, typer.Option(metavar="N", help="tokens in a window")] = 512,
    stride: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="score only the last N tokens of each window but the first, so that windows overlap",
            show_default="no overlap",
        ),
    ] = None,
    output_bits: Annotated[int, typer.Option(metavar="B", help="width of SpikeQuant's output codes, 2..16")] = 8,
    membranes: Annotated[
        bool, typer.Option("--membranes", help="read SpikeQuant's exact membranes in place of output codes")
    ] = False,
    integer_block: Annotated[
        bool,
        typer.Option("--integer-block", help="compute norms, gates and the residual stream in integers, too"),
    ] = False,
    reference: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="float model to compare with in perplexity, predictions and speed"),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(metavar="bits", help="compare rtn and spikequant at several bit widths")
    ] = None,
    bits: Annotated[str, typer.Option(metavar="LIST", help="bit widths of the sweep, such as 1-8 or 2,3,4")] = "1-8",
    layers: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.json|.html", help="also measure every layer of spikequant, and write them to this file"
        ),
    ] = None,
    integers: Annotated[
        bool,
        typer.Option(
            "--integers", help="also run layers of every kind in integers; exit status 1 if the outputs differ"
        ),
    ] = False,
    config: SpecName = "base",
    recipe: RecipeName = "compensated",
    calibration: CalibrationFile = None,
    calibration_tokens: CalibrationTokens = None,
    plot: PlotFile = None,
    json_file: JsonFile = None,
) -> None:
    """Measure the perplexity of a model on held-out text: one method, a table of all, or a sweep over bit widths.

    The accelerator of --config is the one that --layers and --integers compare with. With --json, an interrupted run
    resumes when the same command is started again.
    """
    from spikequant.gen.output import check_output, check_plot, show_figures, show_written
    from spikequant.golden.comparison.sweep import parse_bits
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.quantizer.recipe import load_recipe
    from spikequant.golden.support.files import replace_file

    chosen = load_recipe(recipe, calibration_tokens=calibration_tokens)
    spec = load_spec(config)
    _check_sweep(sweep, method)
    widths = tuple(parse_bits(bits)) if sweep else None
    check_plot(plot)
    if plot and not (sweep or method == "all" or reference):
        raise InputError(f"plot {plot}: nothing to compare, expected --method all, --sweep bits, or a --reference")
    if layers and layers.suffix not in LAYER_SUFFIXES:
        raise InputError(f"layers {layers}: expected a file name that ends in {' or '.join(LAYER_SUFFIXES)}")
    check_output(json_file, plot, layers)

    from rich.console import Console

    from spikequant.golden.comparison.plots import comparison_plot, sweep_plot
    from spikequant.golden.comparison.prepare import prepare
    from spikequant.golden.comparison.request import Request
    from spikequant.golden.comparison.rows import Row, unfinished_rows
    from spikequant.golden.comparison.show import progress_line, show_agreements, show_comparison
    from spikequant.golden.evaluation.methods import Calibration
    from spikequant.golden.layer_report.page import write_layers

    request = Request(
        model=model,
        method=method or "spikequant",
        checkpoints=tuple(checkpoint or ()),
        external=tuple(row or ()),
        texts=tuple(dict.fromkeys(text or ("wikipedia",))),
        tokens=tokens if tokens is not None else SWEEP_TOKENS if sweep else TOKENS,
        context=ctx,
        recipe=chosen,
        calibration=Calibration(calibration, chosen.calibration_tokens, chosen.calibration_context),
        reference=reference,
        output_bits=None if membranes else output_bits,
        integer_block=integer_block,
        sweep=widths,
        layers=layers is not None,
        integers=integers,
        stride=stride,
    )
    evaluation = prepare(request, keep=json_file is not None)
    if layers or integers:
        evaluation = evaluation.with_built()
    kept = unfinished_rows(json_file)
    rows: list[Row] = []
    progress = Console(stderr=True)
    for found in evaluation.rows(kept):
        rows.append(found)
        progress.print(progress_line(found), highlight=False)
    if layers:
        write_layers(layers, evaluation.layer_report(spec.membrane_bits))
    agreements = evaluation.compare_paths(spec) if integers else []
    evaluation.result(request, rows, agreements).write(json_file)
    if plot:
        with replace_file(plot) as temporary:
            temporary.write_bytes(sweep_plot(rows) if sweep else comparison_plot(rows))
    kept.clear()
    if len(rows) > 1:
        show_comparison(rows, Console(), sweep=sweep is not None)
    else:
        show_figures("evaluated", {"model": model, **rows[0].model_dump(exclude={"how", "text_protocol"})})
    show_agreements(agreements, Console())
    show_written(json_file, plot, layers)
    if not all(agreement.holds for agreement in agreements):
        raise typer.Exit(FAILED)


def _check_sweep(sweep: str | None, method: str | None) -> None:
    if sweep not in (None, "bits"):
        raise InputError(f"sweep {sweep!r}: unknown, expected bits")
    if sweep and method:
        raise InputError(f"method {method}: expected no --method with --sweep, which compares rtn and spikequant")
