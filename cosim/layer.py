"""One whole layer through the simulated hardware."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from spikequant.cosim.scoreboard import Verdict, compare
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.cosim.simulator.runner import StallingDevice
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.neuron import event_program
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.device import Device, LayerRun, run_on_device


@dataclass(frozen=True)
class LayerReport:
    """A layer's co-simulation.

    Attributes:
        output: what the hardware gave.
        verdict: how it compares with the golden model.
        cycles: clock cycles from the first packet to the last result, loading weights included.
        spikes: spikes fired, each of a burst counted.
        beats: cycles in which the array took spikes, a tick or a doubling.
        expected_spikes: as the golden model's time domain fires them.
        expected_beats: as it takes them.
        sim_cycles_per_second: speed of the simulation.
        seconds: wall time, building the simulator and the golden model included.
    """

    output: LayerOutput
    verdict: Verdict
    spec: Spec
    cycles: int
    spikes: int
    beats: int
    expected_spikes: int
    expected_beats: int
    sim_cycles_per_second: float
    seconds: float

    @property
    def lane_utilisation(self) -> float:
        """Spikes for each lane and beat; 0 where there was no beat."""
        return self.spikes / (self.beats * self.spec.lanes) if self.beats else 0.0

    @property
    def activity_expected(self) -> bool:
        """Spikes and beats are as many as the golden model's time domain has."""
        return (self.spikes, self.beats) == (self.expected_spikes, self.expected_beats)

    def figures(self, *, allow_saturation: bool) -> dict[str, Any]:
        """The report as the command line's JSON has it."""
        return {
            "ok": self.verdict.ok(allow_saturation=allow_saturation),
            "output_bits": self.spec.output_bits,
            "theta_fraction_bits": self.spec.theta_fraction_bits,
            "mismatches": self.verdict.mismatches,
            "saturated": self.verdict.saturated,
            "outputs": self.verdict.outputs,
            "first_mismatch": self.verdict.first,
            "cycles": self.cycles,
            "spikes": self.spikes,
            "beats": self.beats,
            "expected_spikes": self.expected_spikes,
            "expected_beats": self.expected_beats,
            "lane_utilisation": self.lane_utilisation,
            "sim_cycles_per_second": self.sim_cycles_per_second,
            "seconds": self.seconds,
        }


def expected_activity(spec: Spec, vectors: LayerVectors) -> tuple[int, int]:
    """Spikes and beats of a whole layer in the golden model's time domain: each token's, for each tile of outputs."""
    spikes = beats = 0
    for token in range(vectors.tokens):
        spikes += sum(phase.row.size for phase in event_program(vectors, token, spec))
        beats += sum(tile.cost.cycles for tile in token_tiles(vectors, token, spec))
    output_tiles = -(-vectors.outputs // spec.neurons)
    return spikes * output_tiles, beats * output_tiles


def cosimulate(
    spec: Spec,
    vectors: LayerVectors,
    *,
    stall_probability: float = 0.0,
    seed: int = 0,
    sources: Mapping[str, str] | None = None,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
    cache: Path | None = None,
) -> LayerReport:
    """Run a layer on the Verilator model of the spec's Verilog, and compare it with the integer level.

    Args:
        spec: the accelerator.
        vectors: the layer; any size.
        stall_probability: share of cycles in which either stream pauses.
        seed: of the pauses.
        sources: the accelerator's Verilog by file name, such as that of a netlist; else what the spec generates.
        progress: told the results that are in, and how many there will be.
        cache: where simulator builds are kept; the user's own cache by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: the simulator could not be built, or its test failed.
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    began = time.perf_counter()
    if stall_probability:
        stalling = StallingDevice(spec, stall_probability=stall_probability, seed=seed, sources=sources, cache=cache)
        return compare_on_device(stalling, vectors, began=began, progress=progress)
    with SimulatedDevice(spec, sources=sources, cache=cache) as device:
        return compare_on_device(device, vectors, began=began, progress=progress)


def compare_on_device(
    device: Device,
    vectors: LayerVectors,
    *,
    began: float,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> LayerReport:
    """Run a layer on a device, and compare it with the integer level.

    Args:
        device: where.
        vectors: the layer; any size.
        began: when the work on this layer began, on ``time.perf_counter``.
        progress: told the results that are in, and how many there will be.

    Raises:
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    run = run_on_device(device, vectors, progress=progress)
    report = report_of(device.spec, vectors, run, ran=vectors)
    return replace(report, seconds=time.perf_counter() - began)


def report_of(spec: Spec, vectors: LayerVectors, run: LayerRun, *, ran: LayerVectors) -> LayerReport:
    """What ran, beside what the golden model expects.

    Args:
        spec: the accelerator.
        vectors: the layer.
        run: what a device gave, whose seconds are the report's.
        ran: the layer as the device had it, whose spikes and beats are expected.
    """
    expected_spikes, expected_beats = expected_activity(spec, ran)
    return LayerReport(
        output=run.output,
        verdict=compare(run_layer(vectors, spec), run.output),
        spec=spec,
        cycles=run.cycles,
        spikes=run.spikes,
        beats=run.beats,
        expected_spikes=expected_spikes,
        expected_beats=expected_beats,
        sim_cycles_per_second=run.cycles / run.seconds,
        seconds=run.seconds,
    )
