"""The command ``run``: a layer on a board, compared with the golden model."""

from pathlib import Path
from typing import Annotated

import typer

from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.gen.commands.options import (
    AllowSaturation,
    Baud,
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
from spikequant.golden.support.errors import InputError, named_failures


def run(
    port: Annotated[
        str, typer.Option(metavar="PORT|sim", help="serial port of the board, or sim for a virtual board in Verilator")
    ],
    config: SpecName = "base",
    vectors: VectorsFile = None,
    checkpoint: CheckpointFolder = None,
    layer: LayerName = None,
    tokens: LayerTokens = 8,
    text: LayerText = None,
    out: Annotated[Path | None, typer.Option(metavar="OUT.npz", help="write the board's results to this file")] = None,
    json_file: JsonFile = None,
    memory: Annotated[
        str | None,
        typer.Option(metavar="CHIP", help="store the weights in the board's SDRAM first", show_default=False),
    ] = None,
    baked: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="the weights are in the bitstream that `bake` wrote to this folder", show_default=False
        ),
    ] = None,
    baud: Baud = DEFAULT_BAUD,
    allow_saturation: AllowSaturation = False,
    corrupt: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, max=0.05, help="fraction of bytes that the virtual line changes")
    ] = 0.0,
    drop: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, max=0.05, help="fraction of bytes that the virtual line drops")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="seed of the virtual line's noise")] = 1,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="time after which the virtual board ends")
    ] = 3600.0,
    netlist: NetlistStage = None,
    cache: CacheFolder = None,
) -> None:
    """Run a layer on a board over its serial line, and compare every output with the golden model.

    Exit status 0 if all outputs are equal and none is saturated, 1 if not or if the board fails, 2 for bad input.
    """
    from spikequant.fpga.sdram.timing import find_chip
    from spikequant.gen.board_connection import Line
    from spikequant.gen.board_run import Weights, run_on_board
    from spikequant.gen.layer_choice import LayerChoice
    from spikequant.gen.output import check_output, outcome_line, show_written
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.layer.vectors import save_arrays
    from spikequant.golden.support.progress import progress_bar

    chosen = LayerChoice("run", vectors, checkpoint, layer, tokens, text)
    if baked is not None and memory is not None:
        raise InputError("run: --baked and --memory both give the source of the weights, expected one of them")
    line = Line(port, baud, corrupt=corrupt, drop=drop, seed=seed, seconds=time_limit, netlist=netlist)
    spec = load_spec(config)
    chip = None if memory is None else find_chip(memory)
    check_output(out, json_file)
    integers = chosen.load(spec)

    with named_failures(chosen.name), progress_bar() as bar:
        task = bar.add_task("starting", total=None)
        result = run_on_board(
            spec,
            line,
            integers,
            chip=chip,
            baked=baked,
            cache=cache,
            stage=lambda description: bar.update(task, description=description),
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )

    report, health, verdict = result.report, result.health, result.report.verdict
    ok = verdict.ok(allow_saturation=allow_saturation)
    if out is not None:
        save_arrays(out, vars(report.output))
    result.figures(allow_saturation=allow_saturation).write(json_file)
    typer.echo(
        f"{chosen.name}: {integers.outputs} x {integers.inputs}, {integers.tokens} tokens on {spec.neurons} neurons x "
        f"{spec.lanes} lanes\n"
        f"{outcome_line(verdict.outputs, verdict.mismatches, verdict.saturated, ok=ok)}\n"
        f"{report.cycles} cycles, {report.spikes} spikes, {report.beats} beats, {report.seconds:.1f} s\n"
        f"line: {health.board_damaged} damaged frames at the board, {health.host_damaged} at the host, "
        f"{health.resent} resends, {health.asked_again} resend requests, {health.reopened} reopenings"
    )
    show_written(out, json_file)
    if verdict.first:
        typer.echo(f"first mismatch: {verdict.first}", err=True)
        if result.weights is Weights.BITSTREAM:
            typer.echo("a later upload overwrites the bitstream's weights: program the board again", err=True)
    if not ok:
        raise typer.Exit(FAILED)
