"""Co-simulation of one layer, with the outcome on the terminal."""

from pathlib import Path

import typer
from rich.console import Console

from spikequant.cosim.diagnosis.locate import locate
from spikequant.cosim.diagnosis.screen import divergence_panel
from spikequant.cosim.layer import cosimulate
from spikequant.cosim.netlist import Stage
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.fpga.build.netlist import netlist_sources
from spikequant.gen.layer_choice import LayerChoice
from spikequant.gen.output import outcome_line
from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors, save_arrays
from spikequant.golden.support.errors import SpikeQuantError, named_failures
from spikequant.golden.support.progress import progress_bar


def run_one_layer(
    spec: Spec,
    choice: LayerChoice,
    *,
    out: Path | None,
    json_file: Path | None,
    stalls: float,
    seed: int,
    netlist: Stage | None,
    waves: Path,
    allow_saturation: bool,
) -> bool:
    """Co-simulate one layer, write and print the outcome, and locate a divergence.

    Args:
        spec: the accelerator.
        choice: the layer.
        out: file for the hardware's results.
        json_file: file for the figures.
        stalls: fraction of cycles in which the streams pause.
        seed: of the pauses.
        netlist: stage of the netlist to simulate; None for the generated Verilog.
        waves: folder for a waveform of the first divergence.
        allow_saturation: accept saturated outputs.

    Returns:
        Whether all outputs are equal, and none is saturated unless that is allowed.

    Raises:
        InputError: a tool is missing, or a layer that cannot be loaded.
        SimulationError, PacketError, ToolError: the simulation, the accelerator or the netlist failed.
    """
    tool_environment()
    integers = choice.load(spec)
    sources = None
    if netlist is not None:
        with Console(stderr=True).status(f"making the netlist ({netlist})"):
            sources = netlist_sources(spec, netlist)
    with named_failures(choice.name), progress_bar() as bar:
        task = bar.add_task("co-simulating", total=None)
        report = cosimulate(
            spec,
            integers,
            stall_probability=stalls,
            seed=seed,
            sources=sources,
            progress=lambda done, total: bar.update(task, completed=done, total=total),
        )

    verdict = report.verdict
    ok = verdict.ok(allow_saturation=allow_saturation)
    if out is not None:
        save_arrays(out, vars(report.output))
    report.figures(allow_saturation=allow_saturation).write(json_file)
    stage = {None: "", "synth": ", synthesized netlist", "route": ", routed netlist"}[netlist]
    typer.echo(
        f"{choice.name}: {integers.outputs} x {integers.inputs}, {integers.tokens} tokens on {spec.neurons} neurons x "
        f"{spec.lanes} lanes{stage}\n"
        f"{outcome_line(verdict.outputs, verdict.mismatches, verdict.saturated, ok=ok)}\n"
        f"{report.cycles} cycles, {report.spikes} spikes, {report.beats} beats, "
        f"lane utilisation {report.lane_utilisation:.3f}\n"
        f"{report.sim_cycles_per_second / 1e3:.0f} thousand cycles/s, {report.seconds:.1f} s in total"
    )
    if not report.activity_expected:
        typer.echo(
            f"{report.spikes} spikes in {report.beats} beats, "
            f"expected {report.expected_spikes} in {report.expected_beats}",
            err=True,
        )
    if verdict.first:
        typer.echo(f"first mismatch: {verdict.first}", err=True)
        _show_divergence(spec, integers, report.output, waves=waves, layer=choice.layer or choice.name)
    return ok


def _show_divergence(spec: Spec, integers: LayerVectors, output: LayerOutput, *, waves: Path, layer: str) -> None:
    """Show on one screen where hardware and golden model diverge, by a replay on the generated Verilog."""
    console = Console(stderr=True)
    try:
        with console.status("replaying the first wrong output with a waveform"):
            located = locate(spec, integers, output, out=waves)
    except SpikeQuantError as error:
        # the mismatch is the outcome, whatever becomes of its diagnosis
        typer.echo(f"replay failed: {error}", err=True)
        return
    console.print(divergence_panel(located, layer=layer))
