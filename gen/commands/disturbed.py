"""The command ``disturbed``."""

from typing import Annotated

import typer

from spikequant.gen.commands.options import (
    CacheFolder,
    CheckpointFolder,
    JsonFile,
    LayerName,
    LayerText,
    LayerTokens,
    NetlistStage,
    SpecName,
    VectorsFile,
)
from spikequant.golden.support.command_line import FAILED
from spikequant.golden.support.errors import InputError


def disturbed(
    config: SpecName = "base",
    vectors: VectorsFile = None,
    checkpoint: CheckpointFolder = None,
    layer: LayerName = None,
    tokens: LayerTokens = 2,
    text: LayerText = None,
    netlist: NetlistStage = None,
    trials: Annotated[
        list[str] | None,
        typer.Option("--trial", metavar="NAME", help="disturbance to try; may be repeated", show_default="all"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of the noise")] = 1,
    seconds: Annotated[float, typer.Option(metavar="S", min=1.0, help="time limit of a board")] = 3600.0,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Run a layer on a virtual board while its serial line is disturbed, one disturbance after the other.

    Exit status 0 if each run is disturbed as intended and ends with the right outputs, or with an error line if the
    port is gone for good; 1 if not; 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.virtual.board import build_virtual_board
    from spikequant.fpga.virtual.line_faults import TRIALS, Bench, LineFaultFigures, outcomes_table, run_trials
    from spikequant.gen.layer_choice import LayerChoice
    from spikequant.gen.output import check_output, show_written
    from spikequant.golden.layer.integer import run_layer
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.progress import progress_bar

    choice = LayerChoice("disturbed", vectors, checkpoint, layer, tokens, text)
    chosen = trials or list(TRIALS)
    unknown = [name for name in chosen if name not in TRIALS]
    if unknown:
        raise InputError(f"disturbed: unknown trial {unknown[0]!r}, expected some of {', '.join(TRIALS)}")
    spec = load_spec(config)
    check_output(json_file)
    integers = choice.load(spec)
    with progress_bar() as bar:
        task = bar.add_task("building the virtual board", total=len(chosen))

        def keep(figures: LineFaultFigures) -> None:
            figures.write(json_file)
            bar.update(task, completed=len(figures.trials))

        program = build_virtual_board(spec, netlist=netlist, cache=cache)
        figures = run_trials(
            chosen,
            Bench(program, spec, integers, run_layer(integers, spec), seed=seed, seconds=seconds),
            layer=choice.name,
            config=config,
            netlist=netlist,
            progress=lambda trial: bar.update(task, description=trial),
            keep=keep,
        )
    Console().print(outcomes_table(figures.trials))
    for outcome in figures.trials:
        if outcome.reason:
            typer.echo(f"{outcome.trial}: {outcome.reason}")
    show_written(json_file)
    if not figures.ok:
        raise typer.Exit(FAILED)
