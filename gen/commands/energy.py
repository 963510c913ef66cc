"""The command ``energy``."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.gen.commands.options import JsonFile, PlotFile, SpecName


def energy(
    checkpoint: Annotated[Path, typer.Argument(metavar="CHECKPOINT_DIR", help="folder that quantize wrote")],
    tokens: Annotated[int, typer.Option(metavar="N", help="tokens of text to average over")] = 1024,
    text: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="text: wikipedia (held-out articles), news, or a file")
    ] = "wikipedia",
    ctx: Annotated[int, typer.Option(metavar="N", help="tokens in a window; windows do not overlap")] = 512,
    config: SpecName = "base",
    plot: PlotFile = None,
    json_file: JsonFile = None,
) -> None:
    """Compare the energy per token in the linear layers: floats, integers, Atom, SpikeLLM and SpikeQuant.

    Spikes are counted on real text. The constants of each energy model are printed with their sources, and a line
    shows where "up to 4.6 times less" holds. Exit status 0 whatever the figures are, 2 for bad input.
    """
    from spikequant.gen.output import check_output, check_plot, show_written
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import replace_file

    spec = load_spec(config)
    check_plot(plot)
    check_output(plot, json_file)

    from rich.console import Console

    from spikequant.golden.checkpoint.checkpoint import load_checkpoint
    from spikequant.golden.checkpoint.description import read_description
    from spikequant.golden.energy.activity import check_runnable, measure_activity
    from spikequant.golden.energy.report import evaluate_energy
    from spikequant.golden.energy.show import plot_report, show_report
    from spikequant.golden.models.model import check_context
    from spikequant.golden.models.reading import model_windows
    from spikequant.golden.models.text import evaluation_corpus

    read_description(checkpoint)
    corpus = evaluation_corpus(text)
    language_model = load_checkpoint(checkpoint).language_model
    check_runnable(language_model, spec)
    check_context(language_model.model, ctx)
    read = model_windows(language_model, corpus, tokens=tokens, context=ctx)
    layers = measure_activity(language_model, read.windows, spec=spec)
    protocol = (
        f"{checkpoint}: one token in {len(layers)} linear layers, batch 1, mean of {read.protocol}; "
        f"array of {spec.neurons} neurons, {spec.depth} inputs deep"
    )
    report = evaluate_energy(layers, spec, checkpoint=str(checkpoint), protocol=protocol)
    report.write(json_file)
    if plot:
        with replace_file(plot) as temporary:
            temporary.write_bytes(plot_report(report))
    console = Console()
    show_report(report, console)
    console.print(protocol, highlight=False)
    show_written(plot, json_file)
