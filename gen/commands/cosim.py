"""The commands of this folder: ``cosim``, and ``formal`` from a file of its own."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spikequant.cosim.netlist import Stage
from spikequant.gen.commands.formal import formal
from spikequant.gen.commands.layer_choice import CheckpointFolder, LayerName, VectorsFile, chosen_layer
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.options import JsonFile, SpecName

if TYPE_CHECKING:
    from spikequant.cosim.whole_model import ModelFigures
    from spikequant.golden.layer.integer import LayerOutput
    from spikequant.golden.layer.spec import Spec
    from spikequant.golden.layer.vectors import LayerVectors


@dataclass(frozen=True)
class Outputs:
    """What to write, and what to take for right.

    Attributes:
        json_file: for the figures; None for none.
        report: page for all layers; None for none.
        allow_saturation: accept outputs whose membrane left its range.
    """

    json_file: Path | None
    report: Path | None
    allow_saturation: bool


def cosim(
    config: SpecName = "base",
    vectors: VectorsFile = None,
    checkpoint: CheckpointFolder = None,
    layer: LayerName = None,
    all_layers: Annotated[
        bool, typer.Option("--all", help="every layer, on all cores; goes on where it stopped")
    ] = False,
    tokens: Annotated[int, typer.Option(metavar="T", min=1, help="real tokens to run through a layer")] = 8,
    out: Annotated[Path | None, typer.Option(metavar="OUT.npz", help="write the hardware's results here")] = None,
    json_file: JsonFile = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE.html", help="with --all: write a page with every layer here")
    ] = None,
    stalls: Annotated[
        float, typer.Option(metavar="SHARE", min=0.0, max=0.9, help="share of cycles in which the streams pause")
    ] = 0.0,
    seed: Annotated[int, typer.Option(help="seed of the pauses")] = 0,
    netlist: Annotated[
        Stage | None,
        typer.Option(help="run a netlist of ECP5 cells: behind synthesis, or placed and routed", show_default=False),
    ] = None,
    waves: Annotated[
        Path, typer.Option(metavar="DIR", help="where a waveform of the first divergence goes, if there is one")
    ] = Path("build/divergence"),
    allow_saturation: Annotated[
        bool, typer.Option("--allow-saturation", help="accept outputs whose membrane left its range")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="with --all: simulators", show_default="one a core")
    ] = None,
    scheduler: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="with --all: run on this Dask cluster, like tcp://host:8786")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="with --all: simulate again what earlier runs have")] = False,
) -> None:
    """Run layers on the generated Verilog in Verilator, and compare every output with the golden model.

    Exit status 0 if all outputs are equal and none is saturated, 1 if not, 2 for bad input.
    """
    outputs = Outputs(json_file=json_file, report=report, allow_saturation=allow_saturation)
    if all_layers:
        if checkpoint is None or layer is not None or vectors is not None:
            raise InputError("cosim: expected --all with --checkpoint DIR, without --layer and --vectors")
        if out is not None or stalls or netlist is not None:
            raise InputError("cosim: --out, --stalls and --netlist are for one layer, expected --all without them")
        _all_layers(config, checkpoint, tokens, outputs, workers=workers, scheduler=scheduler, fresh=fresh)
        return
    if (vectors is None) == (checkpoint is None) or (checkpoint is None) != (layer is None):
        raise InputError("cosim: expected --vectors IN.npz, or --checkpoint DIR with --layer NAME or --all")
    if report is not None or workers is not None or scheduler is not None or fresh:
        raise InputError("cosim: --report, --workers, --scheduler and --fresh are for many layers, expected --all")
    run = OneLayer(
        config, vectors, checkpoint, layer, tokens, out, stalls=stalls, seed=seed, netlist=netlist, waves=waves
    )
    _one_layer(run, outputs)


@dataclass(frozen=True)
class OneLayer:
    """A layer to run: the options of the command."""

    config: str
    vectors: Path | None
    checkpoint: Path | None
    layer: str | None
    tokens: int
    out: Path | None
    stalls: float
    seed: int
    netlist: Stage | None
    waves: Path


def outcome_line(outputs: int, mismatches: int, saturated: int, *, ok: bool) -> str:
    """The counts of a comparison, and what they come to."""
    outcome = "equal" if ok else "NOT EQUAL" if mismatches else "SATURATED"
    return f"{outputs} outputs, {mismatches} mismatches, {saturated} saturated: {outcome}"


def _one_layer(run: OneLayer, outputs: Outputs) -> None:
    from rich.console import Console

    from spikequant.cosim.layer import cosimulate
    from spikequant.cosim.simulator.build import SimulationError
    from spikequant.cosim.simulator.verilator import tool_environment
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.layer.vectors import save_arrays
    from spikequant.golden.support.files import check_writable
    from spikequant.golden.support.progress import progress_bar
    from spikequant.rtl.driver.packets import PacketError

    spec = load_spec(run.config)
    tool_environment()
    for path in (run.out, outputs.json_file):
        if path is not None:
            check_writable(path)
    source, integers = chosen_layer(
        spec, vectors=run.vectors, checkpoint=run.checkpoint, layer=run.layer, tokens=run.tokens
    )
    sources = None
    if run.netlist is not None:
        from spikequant.fpga.build.netlist import netlist_sources

        with Console(stderr=True).status(f"making the netlist ({run.netlist})"):
            sources = netlist_sources(spec, run.netlist)

    with progress_bar() as bar:
        task = bar.add_task("co-simulating", total=None)
        try:
            report = cosimulate(
                spec,
                integers,
                stall_probability=run.stalls,
                seed=run.seed,
                sources=sources,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        except (SimulationError, PacketError) as error:
            typer.echo(f"spikequant: {source}: {error}", err=True)
            raise typer.Exit(1) from None

    verdict = report.verdict
    ok = verdict.ok(allow_saturation=outputs.allow_saturation)
    if run.out is not None:
        save_arrays(run.out, vars(report.output))
    report.figures(allow_saturation=outputs.allow_saturation).write(outputs.json_file)
    typer.echo(
        f"{source}: {integers.outputs} x {integers.inputs}, {integers.tokens} tokens on {spec.neurons} neurons x "
        f"{spec.lanes} lanes{f', netlist behind {run.netlist}' if run.netlist else ''}\n"
        f"{outcome_line(verdict.outputs, verdict.mismatches, verdict.saturated, ok=ok)}\n"
        f"{report.cycles} cycles, {report.spikes} spikes, {report.beats} beats, "
        f"lane utilisation {report.lane_utilisation:.3f}\n"
        f"{report.sim_cycles_per_second / 1e3:.0f} thousand cycles/s, {report.seconds:.1f} s in all"
    )
    if not report.activity_expected:
        typer.echo(
            f"{report.spikes} spikes in {report.beats} beats, "
            f"expected {report.expected_spikes} in {report.expected_beats}",
            err=True,
        )
    if verdict.first:
        typer.echo(f"first mismatch: {verdict.first}", err=True)
        _show_divergence(run, spec, integers, report.output)
    if not ok:
        raise typer.Exit(1)


def _show_divergence(run: OneLayer, spec: "Spec", integers: "LayerVectors", output: "LayerOutput") -> None:
    """On one screen, where hardware and golden part; the replay is of the generated Verilog."""
    from rich.console import Console

    from spikequant.cosim.diagnosis.locate import locate
    from spikequant.cosim.diagnosis.screen import divergence_panel
    from spikequant.cosim.simulator.build import SimulationError
    from spikequant.rtl.driver.packets import PacketError

    console = Console(stderr=True)
    try:
        with console.status("replaying the first wrong output with a waveform"):
            located = locate(spec, integers, output, out=run.waves)
    except (SimulationError, PacketError) as error:
        typer.echo(f"spikequant: the replay failed: {error}", err=True)
        return
    console.print(divergence_panel(located, layer=run.layer or str(run.vectors)))


def _all_layers(
    config: str,
    checkpoint: Path,
    tokens: int,
    outputs: Outputs,
    *,
    workers: int | None,
    scheduler: str | None,
    fresh: bool,
) -> None:
    from os import cpu_count

    from rich.console import Console

    from spikequant.cosim.simulator.build import SimulationError, build_bursts
    from spikequant.cosim.simulator.verilator import tool_environment
    from spikequant.cosim.whole_model import LayerOutcome, cosimulate_model
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.cluster import cluster_client
    from spikequant.golden.support.files import check_writable
    from spikequant.golden.support.progress import progress_bar
    from spikequant.rtl.driver.packets import PacketError

    spec = load_spec(config)
    tool_environment()
    for path in (outputs.json_file, outputs.report):
        if path is not None:
            check_writable(path)

    from spikequant.golden.checkpoint.checkpoint import load_checkpoint
    from spikequant.golden.evaluation.trace import trace_layers
    from spikequant.golden.quantizer.linear import quantized_layers

    console = Console(stderr=True)
    try:
        with console.status("building the simulator"):
            build_bursts(spec)
        began = time.perf_counter()
        with console.status("loading the model"):
            model = load_checkpoint(checkpoint).language_model
        names = list(quantized_layers(model.model))
        if not names:
            raise InputError(f"checkpoint {checkpoint}: no quantized layers, expected some in its decoder")
        with (
            cluster_client(scheduler, workers=workers or cpu_count() or 1) as client,
            progress_bar(console) as bar,
        ):
            task = bar.add_task("co-simulating", total=len(names))

            def advance(outcome: LayerOutcome) -> None:
                bar.update(task, advance=1, description=outcome.name)

            traced = ((name, vectors) for name, vectors, _ in trace_layers(model, names, tokens, spec))
            figures = cosimulate_model(
                client,
                spec,
                traced,
                tokens=tokens,
                began=began,
                allow_saturation=outputs.allow_saturation,
                progress=advance,
                fresh=fresh,
            )
    except (SimulationError, PacketError) as error:
        typer.echo(f"spikequant: {checkpoint}: {error}", err=True)
        raise typer.Exit(1) from None
    _show_model(figures, spec, checkpoint, model.name, outputs)


def _show_model(figures: "ModelFigures", spec: "Spec", checkpoint: Path, model: str, outputs: Outputs) -> None:
    figures.write(outputs.json_file)
    if outputs.report is not None:
        from spikequant.cosim.page import write_page

        write_page(outputs.report, figures, spec=spec, model=model)
    typer.echo(
        f"{checkpoint}: {figures.layers} layers, {figures.tokens} tokens on {spec.neurons} neurons x "
        f"{spec.lanes} lanes\n"
        f"{outcome_line(figures.outputs, figures.mismatches, figures.saturated, ok=figures.ok)}\n"
        f"{figures.cycles} cycles, lane utilisation {figures.lane_utilisation:.3f}\n"
        f"{figures.sim_cycles_per_second / 1e3:.0f} thousand cycles/s on each simulator, {figures.seconds:.1f} s in all"
    )
    if figures.remembered:
        typer.echo(f"{figures.remembered} layers were simulated in an earlier run")
    for outcome in figures.per_layer:
        if not outcome.activity_expected:
            typer.echo(f"{outcome.name}: spikes or beats differ from the golden model's", err=True)
    if figures.first_mismatch:
        typer.echo(f"first mismatch: {figures.first_mismatch}", err=True)
    if not figures.ok:
        raise typer.Exit(1)


def add_commands(app: typer.Typer) -> None:
    """Add this package's commands to the command line."""
    app.command()(cosim)
    app.command()(formal)
