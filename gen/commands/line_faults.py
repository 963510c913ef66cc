"""The command ``line-faults``."""

from typing import Annotated

import typer

from spikequant.cosim.netlist import Stage
from spikequant.gen.commands.layer_choice import CheckpointFolder, LayerName, VectorsFile, check_one_layer, chosen_layer
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import CacheFolder, JsonFile, SpecName


def line_faults(
    config: SpecName = "base",
    vectors: VectorsFile = None,
    checkpoint: CheckpointFolder = None,
    layer: LayerName = None,
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="real tokens to run through the layer")] = 2,
    netlist: Annotated[
        Stage | None,
        typer.Option(help="the board is a netlist: synthesized, or placed and routed", show_default=False),
    ] = None,
    trials: Annotated[
        list[str] | None,
        typer.Option("--trial", metavar="NAME", help="disturbance to try, may be repeated; all by default"),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="seed of the noise")] = 1,
    seconds: Annotated[float, typer.Option(metavar="S", min=1.0, help="time limit of a board")] = 3600.0,
    cache: CacheFolder = None,
    json_file: JsonFile = None,
) -> None:
    """Run a layer on the virtual board while its line is disturbed, one disturbance after the other.

    Exit status 0 if each run is disturbed as intended and complete and right, or ends with a reason where the port is
    gone for good; 1 if not; 2 for bad input.
    """
    from rich.console import Console

    from spikequant.fpga.virtual.board import build_virtual_board
    from spikequant.fpga.virtual.line_faults import TRIALS, Bench, LineFaultFigures, outcomes_table, run_trials
    from spikequant.golden.layer.integer import run_layer
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import check_writable
    from spikequant.golden.support.progress import progress_bar

    check_one_layer("line-faults", vectors=vectors, checkpoint=checkpoint, layer=layer)
    chosen = trials or list(TRIALS)
    unknown = [name for name in chosen if name not in TRIALS]
    if unknown:
        raise InputError(f"line-faults: unknown trial {unknown[0]!r}, expected some of {', '.join(TRIALS)}")
    spec = load_spec(config)
    if json_file is not None:
        check_writable(json_file)
    name, integers = chosen_layer(spec, vectors=vectors, checkpoint=checkpoint, layer=layer, tokens=tokens)
    with progress_bar() as bar:
        task = bar.add_task("building the virtual board", total=len(chosen))

        def keep(figures: LineFaultFigures) -> None:
            figures.write(json_file)
            bar.update(task, completed=len(figures.trials))

        program = build_virtual_board(spec, netlist=netlist, cache=cache)
        figures = run_trials(
            chosen,
            Bench(program, spec, integers, run_layer(integers, spec), seed=seed, seconds=seconds),
            layer=name,
            config=config,
            netlist=netlist,
            progress=lambda trial: bar.update(task, description=trial),
            keep=keep,
        )
    Console().print(outcomes_table(figures.trials))
    for outcome in figures.trials:
        if outcome.reason:
            typer.echo(f"{outcome.trial}: {outcome.reason}")
    if not figures.ok:
        raise typer.Exit(1)
