"""Co-simulation of one layer, compared with the golden model."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from spikequant.cosim.scoreboard import Verdict, compare
from spikequant.cosim.simulator.burst import Traffic
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.fusion import fuse, split_count, split_output
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.neuron import event_program
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.figures import Figures
from spikequant.rtl.driver.device import Device, LayerRun, run_on_device


class CosimFigures(Figures):
    """Figures of a co-simulation.

    Attributes:
        ok: no mismatch, and no saturated output unless that is allowed.
        output_bits, theta_fraction_bits: from the spec.
        mismatches, saturated, outputs: counts of outputs, as in ``Verdict``.
        first_mismatch: one line; empty if there is none.
        cycles: clock cycles from the first packet to the last result, including the loading of weights.
        spikes: spikes fired; every spike of a burst counts.
        beats: cycles in which the array took spikes, a tick or a doubling.
        lane_utilisation: spikes per lane and beat; 0 if there was no beat.
        sim_cycles_per_second: speed of one simulator.
        seconds: wall time, including the simulator's build and the golden model.
    """

    ok: bool
    output_bits: int
    theta_fraction_bits: int
    mismatches: int
    saturated: int
    outputs: int
    first_mismatch: str
    cycles: int
    spikes: int
    beats: int
    lane_utilisation: float
    sim_cycles_per_second: float
    seconds: float


class LayerFigures(CosimFigures):
    """Figures of a layer's co-simulation.

    Attributes:
        expected_spikes, expected_beats: spikes and beats in the golden model's time domain.
    """

    expected_spikes: int
    expected_beats: int


@dataclass(frozen=True)
class LayerReport:
    """Result of a layer's co-simulation; further attributes as in ``LayerFigures``.

    Attributes:
        output: results of the hardware.
        verdict: comparison with the golden model.
        spec: the accelerator.
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
        """Spikes per lane and beat; 0 if there was no beat."""
        return self.spikes / (self.beats * self.spec.lanes) if self.beats else 0.0

    @property
    def activity_expected(self) -> bool:
        """Whether spikes and beats are as many as in the golden model's time domain."""
        return (self.spikes, self.beats) == (self.expected_spikes, self.expected_beats)

    def figures(self, *, allow_saturation: bool) -> LayerFigures:
        """Figures for JSON."""
        more = {
            "ok": self.verdict.ok(allow_saturation=allow_saturation),
            "output_bits": self.spec.output_bits,
            "theta_fraction_bits": self.spec.theta_fraction_bits,
            "first_mismatch": self.verdict.first,
            "lane_utilisation": self.lane_utilisation,
        }
        return LayerFigures.model_validate(vars(self) | vars(self.verdict) | more)


def expected_activity(spec: Spec, vectors: LayerVectors) -> tuple[int, int]:
    """Count the spikes and beats of a layer in the golden model's time domain, over all tokens and output tiles."""
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
    """Run a layer on a Verilator model of the accelerator, and compare it with the integer level.

    Args:
        spec: the accelerator.
        vectors: the layer; any size.
        stall_probability: share of cycles in which each stream pauses, 0 to 0.9.
        seed: seed of the pauses.
        sources: the accelerator's Verilog by file name, such as a netlist's; the generated Verilog by default.
        progress: called with the number of results received, and of all results.
        cache: root of the cache of simulator builds; the user's cache by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: the simulator could not be built or died, or the accelerator hangs.
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    began = time.perf_counter()
    traffic = Traffic(pause_in=stall_probability, pause_out=stall_probability, seed=seed)
    with SimulatedDevice(spec, sources=sources, cache=cache, traffic=traffic) as device:
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
        device: accelerator to run on.
        vectors: the layer; any size.
        began: start of the work on this layer, on ``time.perf_counter``.
        progress: called with the number of results received, and of all results.

    Raises:
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    run = run_on_device(device, vectors, progress=progress)
    report = report_of(device.spec, vectors, run, ran=vectors)
    return replace(report, seconds=time.perf_counter() - began)


def compare_fused_on_device(device: Device, layers: Sequence[LayerVectors], *, began: float) -> list[LayerReport]:
    """Run layers that share their input as one layer, and compare each with the integer level.

    Cycles, spikes, beats and seconds are those of the common run, divided by outputs.

    Args:
        device: accelerator to run on.
        layers: one or more, as for ``fuse``.
        began: start of the work on these layers, on ``time.perf_counter``.

    Raises:
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    fused = fuse(layers)
    run = run_on_device(device, fused)
    outputs = split_output(run.output, layers)
    expected = zip(*(split_count(count, layers) for count in expected_activity(device.spec, fused)), strict=True)
    counts = zip(*(split_count(count, layers) for count in (run.cycles, run.spikes, run.beats)), strict=True)
    reports = []
    for vectors, output, activity, (cycles, spikes, beats) in zip(layers, outputs, expected, counts, strict=True):
        seconds = run.seconds * vectors.outputs / fused.outputs
        own = LayerRun(output=output, cycles=cycles, seconds=seconds, spikes=spikes, beats=beats)
        reports.append(_report(device.spec, vectors, own, activity))
    seconds = time.perf_counter() - began
    return [
        replace(report, seconds=seconds * vectors.outputs / fused.outputs)
        for report, vectors in zip(reports, layers, strict=True)
    ]


def report_of(spec: Spec, vectors: LayerVectors, run: LayerRun, *, ran: LayerVectors) -> LayerReport:
    """Compare a run with the golden model.

    Args:
        spec: the accelerator.
        vectors: the layer.
        run: results of a device; its seconds become the report's.
        ran: the layer in the form that the device ran, which sets the expected spikes and beats.
    """
    return _report(spec, vectors, run, expected_activity(spec, ran))


def _report(spec: Spec, vectors: LayerVectors, run: LayerRun, expected: tuple[int, int]) -> LayerReport:
    """Compare a run with the golden model, given the expected spikes and beats."""
    expected_spikes, expected_beats = expected
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
