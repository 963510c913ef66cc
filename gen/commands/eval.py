"""The command ``eval``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.quantize import CalibrationFile, CalibrationTokens, PlotFile, RecipeName
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import JsonFile

TOKENS = 4096
SWEEP_TOKENS = 2048
LAYER_SUFFIXES = (".json", ".html")


def evaluate(
    model: Annotated[
        str, typer.Argument(metavar="MODEL_OR_DIR", help="a model as for quantize, or a folder that quantize wrote")
    ] = "smollm2",
    method: Annotated[
        str | None,
        typer.Option(
            help="fp, rtn, smoothquant, atom, spikellm, quarot, spikequant, or all of them in one table",
            show_default="spikequant",
        ),
    ] = None,
    checkpoint: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="with --method all: a quantized folder for a row of its own"),
    ] = None,
    text: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME|FILE",
            help="text to score, once or more: wikipedia (held-out articles), news, or a file",
            show_default="wikipedia",
        ),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N", help="tokens to score of each text", show_default=f"{TOKENS}, in a sweep {SWEEP_TOKENS}"
        ),
    ] = None,
    ctx: Annotated[int, typer.Option(metavar="N", help="tokens in a window; windows do not overlap")] = 512,
    output_bits: Annotated[
        int | None, typer.Option(metavar="B", help="send layer outputs through codes of B bits; by default membranes")
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="float model to compare with: perplexity, predictions, and speed"),
    ] = None,
    sweep: Annotated[
        str | None, typer.Option(metavar="bits", help="compare rtn and spikequant from 1 to 8 bits instead")
    ] = None,
    bits: Annotated[str, typer.Option(metavar="LIST", help="widths of the sweep, like 1-8 or 2,3,4")] = "1-8",
    layers: Annotated[
        Path | None,
        typer.Option(metavar="FILE.json|.html", help="measure every layer of spikequant, too, and write it here"),
    ] = None,
    integers: Annotated[
        bool,
        typer.Option("--integers", help="run layers of every kind in integers, too; exit 1 where the outputs differ"),
    ] = False,
    config: Annotated[
        str, typer.Option(metavar="PRESET|FILE", help="array that --layers and --integers compare with")
    ] = "base",
    recipe: RecipeName = "fast",
    calibration: CalibrationFile = None,
    calibration_tokens: CalibrationTokens = 8192,
    plot: PlotFile = None,
    json_file: JsonFile = None,
) -> None:
    """Measure the perplexity of a model on held-out text: of one method, of all in one table, or from 1 to 8 bits.

    With --json, a run that was cut short goes on where it stopped when it is started again.
    """
    from spikequant.golden.comparison.sweep import parse_bits
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.quantizer.recipe import load_recipe
    from spikequant.golden.support.files import replace_file

    chosen = load_recipe(recipe)
    spec = load_spec(config)
    if sweep not in (None, "bits"):
        raise InputError(f"sweep {sweep!r}: unknown, expected bits")
    if sweep and method:
        raise InputError(f"method {method}: expected none beside --sweep, which compares rtn and spikequant")
    widths = tuple(parse_bits(bits)) if sweep else None
    _check_files(json_file, plot, layers)
    if plot and not (sweep or method == "all" or reference):
        raise InputError(f"plot {plot}: nothing to compare, expected --method all, --sweep bits, or a --reference")

    from rich.console import Console

    from spikequant.gen.commands.show import show_figures
    from spikequant.golden.comparison.plots import comparison_plot, sweep_plot
    from spikequant.golden.comparison.request import Request
    from spikequant.golden.comparison.rows import Row, unfinished_rows
    from spikequant.golden.comparison.run import prepare
    from spikequant.golden.comparison.show import progress_line, show_agreements, show_comparison
    from spikequant.golden.evaluation.methods import Calibration
    from spikequant.golden.layer_report.page import write_layers

    request = Request(
        model=model,
        method=method or "spikequant",
        checkpoints=tuple(checkpoint or ()),
        texts=tuple(dict.fromkeys(text or ("wikipedia",))),
        tokens=tokens if tokens is not None else SWEEP_TOKENS if sweep else TOKENS,
        context=ctx,
        recipe=chosen,
        calibration=Calibration(calibration, calibration_tokens),
        reference=reference,
        output_bits=output_bits,
        sweep=widths,
        layers=layers is not None,
        integers=integers,
    )
    evaluation = prepare(request, keep=json_file is not None)
    if layers or integers:
        evaluation = evaluation.with_built()
    kept = unfinished_rows(json_file)
    rows: list[Row] = []
    progress = Console(stderr=True)
    for row in evaluation.rows(kept):
        rows.append(row)
        progress.print(progress_line(row), highlight=False)
    if layers:
        write_layers(layers, evaluation.layer_report(spec.membrane_bits))
    agreements = evaluation.compare_paths(spec) if integers else []
    evaluation.result(request, rows, agreements).write(json_file)
    if plot:
        with replace_file(plot) as beside:
            beside.write_bytes(sweep_plot(rows) if sweep else comparison_plot(rows))
    kept.clear()
    if len(rows) > 1:
        show_comparison(rows, Console(), sweep=sweep is not None)
    else:
        show_figures("evaluated", {"model": model, **rows[0].model_dump(exclude={"how", "text_protocol"})})
    show_agreements(agreements, Console())
    if not all(agreement.holds for agreement in agreements):
        raise typer.Exit(1)


def _check_files(json_file: Path | None, plot: Path | None, layers: Path | None) -> None:
    """Refuse files that could not be written in the end.

    Raises:
        InputError: a name ends as no format does, or a folder cannot be written to.
    """
    from spikequant.golden.support.files import check_writable

    if plot and plot.suffix != ".png":
        raise InputError(f"plot {plot}: expected a file name that ends in .png")
    if layers and layers.suffix not in LAYER_SUFFIXES:
        raise InputError(f"layers {layers}: expected a file name that ends in {' or '.join(LAYER_SUFFIXES)}")
    for path in (json_file, plot, layers):
        if path:
            check_writable(path)
