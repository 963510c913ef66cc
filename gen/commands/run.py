"""The command ``run``: a layer on a board, compared with the golden model."""

# Commands import what they need when they run, so that --help answers at once; their options have names anyway.

from collections.abc import Callable
from dataclasses import asdict, replace
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikequant.cosim.netlist import Stage
from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.gen.commands.cosim import outcome_line
from spikequant.gen.commands.layer_choice import CheckpointFolder, LayerName, VectorsFile, check_one_layer, chosen_layer
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import CacheFolder, JsonFile, SpecName

if TYPE_CHECKING:
    from spikequant.cosim.layer import LayerReport
    from spikequant.fpga.host.device import Accelerator
    from spikequant.fpga.link.session import Health
    from spikequant.gen.board import Line
    from spikequant.golden.layer.spec import Spec
    from spikequant.golden.layer.vectors import LayerVectors
    from spikequant.rtl.driver.device import LayerRun


def run(
    port: Annotated[
        str, typer.Option(metavar="PORT|sim", help="serial port of the board, or sim for a virtual board in Verilator")
    ],
    config: SpecName = "base",
    vectors: VectorsFile = None,
    checkpoint: CheckpointFolder = None,
    layer: LayerName = None,
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="real tokens to run through the layer")] = 8,
    out: Annotated[Path | None, typer.Option(metavar="OUT.npz", help="write the board's results here")] = None,
    json_file: JsonFile = None,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="CHIP", help="store the weights in the board's SDRAM of that name first", show_default=False
        ),
    ] = None,
    baked: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="the weights are in the bitstream that `bake` wrote to this folder", show_default=False
        ),
    ] = None,
    baud: Annotated[int, typer.Option(min=1, help="bits a second on the serial line")] = DEFAULT_BAUD,
    allow_saturation: Annotated[
        bool, typer.Option("--allow-saturation", help="accept outputs whose membrane left its range")
    ] = False,
    corrupt: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, max=0.05, help="bytes that the virtual line changes")
    ] = 0.0,
    drop: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, max=0.05, help="bytes that the virtual line swallows")
    ] = 0.0,
    seed: Annotated[int, typer.Option(min=0, help="seed of the virtual line's noise")] = 1,
    time_limit: Annotated[
        float, typer.Option(metavar="SECONDS", min=1.0, help="time after which the virtual board ends")
    ] = 3600.0,
    netlist: Annotated[
        Stage | None,
        typer.Option(help="the virtual board is a netlist: behind synthesis, or placed and routed", show_default=False),
    ] = None,
    cache: CacheFolder = None,
) -> None:
    """Run a layer on a board over its serial line, and compare every output with the golden model.

    Exit status 0 if all outputs are equal and none is saturated, 1 if not or if the board fails, 2 for bad input.
    """
    from spikequant.fpga.link.line import LinkError
    from spikequant.fpga.sdram.timing import find_chip
    from spikequant.fpga.toolchain import ToolError
    from spikequant.gen.board import Line, board_accelerator
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.layer.vectors import save_arrays
    from spikequant.golden.support.files import check_writable, write_json
    from spikequant.golden.support.progress import progress_bar
    from spikequant.rtl.driver.packets import PacketError

    check_one_layer("run", vectors=vectors, checkpoint=checkpoint, layer=layer)
    if baked is not None and memory is not None:
        raise InputError("run: --baked and --memory say where weights are, expected one of them")
    line = Line(port, baud, corrupt=corrupt, drop=drop, seed=seed, seconds=time_limit, netlist=netlist)
    line.check()
    spec = load_spec(config)
    chip = None if memory is None else find_chip(memory)
    for path in (out, json_file):
        if path is not None:
            check_writable(path)
    source, integers = chosen_layer(spec, vectors=vectors, checkpoint=checkpoint, layer=layer, tokens=tokens)

    weights = Weights.BITSTREAM if baked else Weights.MEMORY if chip else Weights.LINE

    with progress_bar() as bar:
        task = bar.add_task("starting", total=None)

        def stage(description: str) -> None:
            bar.update(task, description=description)

        try:
            if baked is not None:
                line = _baked_line(line, spec, integers, folder=baked, cache=cache)
            with board_accelerator(spec, line, chip=chip, cache=cache, stage=stage) as accelerator:
                result = _play(
                    accelerator,
                    integers,
                    weights,
                    stage=stage,
                    progress=lambda done, total: bar.update(task, completed=done, total=total),
                )
                health = accelerator.health()
        except (LinkError, PacketError, ToolError) as error:
            typer.echo(f"spikequant: {source}: {error}", err=True)
            raise typer.Exit(1) from None

    report = _report(spec, integers, result, weights)
    ok = report.verdict.ok(allow_saturation=allow_saturation)
    if out is not None:
        save_arrays(out, vars(report.output))
    if json_file is not None:
        write_json(
            json_file,
            {
                **report.figures(allow_saturation=allow_saturation).model_dump(),
                "line": asdict(health),
                "baud": baud,
                "memory": memory,
                "weights": weights.value,
            },
        )
    typer.echo(f"{source}: {_summary(report, integers, health, ok=ok)}")
    if report.verdict.first:
        typer.echo(f"first mismatch: {report.verdict.first}", err=True)
        if weights is Weights.BITSTREAM:
            typer.echo("weights that were loaded since take the bitstream's place: program the board again", err=True)
    if not ok:
        raise typer.Exit(1)


class Weights(Enum):
    """Where a board's weights come from."""

    LINE = "line"
    MEMORY = "memory"
    BITSTREAM = "bitstream"


def _baked_line(line: "Line", spec: "Spec", vectors: "LayerVectors", *, folder: Path, cache: Path | None) -> "Line":
    """A board whose bitstream has the layer's weights; a virtual one is the netlist with that bitstream's contents."""
    from spikequant.fpga.baked.bake import baked_contents, read_baked, weights_digest
    from spikequant.fpga.baked.image import weights_image
    from spikequant.fpga.baked.program import placed_program
    from spikequant.fpga.build.build import find_tools
    from spikequant.gen.board import VIRTUAL
    from spikequant.golden.support.store import default_cache_folder

    found = read_baked(folder)
    if found.spec != spec:
        raise InputError(f"run: the bitstream in {folder} is of another spec, expected that of --config")
    if found.weights_sha256 != weights_digest(weights_image(spec, placed_program(spec, vectors).packets)):
        raise InputError(f"run: the bitstream in {folder} has the weights of {found.layer}, expected this layer's")
    if line.port != VIRTUAL:
        return line
    contents = baked_contents(folder, found, find_tools(), cache=cache or default_cache_folder())
    return replace(line, netlist=line.netlist or "synth", contents=contents)


def _play(
    accelerator: "Accelerator",
    vectors: "LayerVectors",
    weights: Weights,
    *,
    stage: Callable[[str], None],
    progress: Callable[[int, int], None],
) -> "LayerRun":
    """Run the layer with its weights from where they are, once they are there."""
    if weights is Weights.MEMORY:
        stage("storing")
        place = accelerator.store_layer(vectors)
        stage("running")
        return accelerator.run_stored(place, vectors, progress=progress)
    stage("running")
    run = accelerator.run_baked if weights is Weights.BITSTREAM else accelerator.run_layer
    return run(vectors, progress=progress)


def _report(spec: "Spec", vectors: "LayerVectors", result: "LayerRun", weights: Weights) -> "LayerReport":
    """What ran, beside what the golden model expects."""
    from spikequant.cosim.layer import report_of
    from spikequant.fpga.sdram.program import active_inputs, without_silent

    # from the memory, silent inputs are left out, and the others are closer together
    ran = without_silent(vectors, active_inputs(vectors)) if weights is Weights.MEMORY else vectors
    return report_of(spec, vectors, result, ran=ran)


def _summary(report: "LayerReport", vectors: "LayerVectors", health: "Health", *, ok: bool) -> str:
    """The run in a few lines."""
    verdict = report.verdict
    return (
        f"{vectors.outputs} x {vectors.inputs}, {vectors.tokens} tokens on {report.spec.neurons} neurons x "
        f"{report.spec.lanes} lanes\n"
        f"{outcome_line(verdict.outputs, verdict.mismatches, verdict.saturated, ok=ok)}\n"
        f"{report.cycles} cycles, {report.spikes} spikes, {report.beats} beats, {report.seconds:.1f} s\n"
        f"line: {health.board_damaged} and {health.host_damaged} damaged frames at board and host, "
        f"{health.resent} times sent again, {health.asked_again} times asked again, {health.reopened} times reopened"
    )


def add_commands(app: typer.Typer) -> None:
    """Add ``run`` to the command line."""
    app.command()(run)
