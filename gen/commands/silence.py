"""The command ``silence``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import CacheFolder, JsonFile, PlotFile, SpecName


def silence(
    checkpoints: Annotated[list[Path], typer.Argument(metavar="DIR...", help="folders that quantize wrote")],
    reference: Annotated[str, typer.Option(metavar="MODEL", help="float model to compare with")] = "smollm2",
    text: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="text to score: wikipedia (held-out articles), news, or a file")
    ] = "wikipedia",
    tokens: Annotated[int, typer.Option(metavar="N", help="tokens to score")] = 4096,
    ctx: Annotated[int, typer.Option(metavar="N", help="tokens in a window")] = 512,
    traced: Annotated[int, typer.Option(metavar="N", min=1, help="tokens to count cycles on")] = 8,
    config: SpecName = "base",
    cache: CacheFolder = None,
    plot: PlotFile = None,
    json_file: JsonFile = None,
) -> None:
    """Compare quantized models by their share of silent inputs: accuracy, cycles, traffic and energy.

    A recipe sets the wanted share as compensation.silent_share. Accuracy is read from output codes. Cycles and weights
    fetched are those of one token in all layers; energy is that of a W4A4 multiply-accumulate array over the spiking
    one's, under each energy model.
    """
    from spikequant.gen.output import check_output, check_plot, show_written
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import replace_file

    spec = load_spec(config)
    check_plot(plot)
    check_output(plot, json_file)

    from rich.console import Console

    from spikequant.gen.silence.points import SilenceFigures, SilenceRequest, measure_points
    from spikequant.gen.silence.show import energy_table, silence_plot, silence_table
    from spikequant.golden.checkpoint.description import read_description
    from spikequant.golden.models.text import evaluation_corpus
    from spikequant.golden.support.store import default_cache_folder

    for folder in checkpoints:
        read_description(folder)
    request = SilenceRequest(
        checkpoints=checkpoints,
        reference=reference,
        corpus=evaluation_corpus(text),
        tokens=tokens,
        context=ctx,
        traced=traced,
        spec=spec,
        cache=cache or default_cache_folder(),
    )
    points = sorted(measure_points(request), key=lambda point: point.silent_ratio)
    SilenceFigures(reference=reference, config=spec, points=points).write(json_file)
    if plot:
        with replace_file(plot) as temporary:
            temporary.write_bytes(silence_plot(points))
    console = Console()
    console.print(silence_table(points))
    console.print(energy_table(points))
    for point in points:
        console.print(point.protocol, highlight=False)
    show_written(plot, json_file)
