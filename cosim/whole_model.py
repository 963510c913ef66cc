"""Every layer of a model through the simulated hardware, on all cores."""

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from distributed import Client, Worker, WorkerPlugin, get_worker

from spikequant.cosim.cached_device import RememberingDevice
from spikequant.cosim.layer import LayerReport, compare_on_device
from spikequant.cosim.scoreboard import Verdict
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.cluster import run_jobs


@dataclass(frozen=True)
class LayerOutcome:
    """One layer of a model, without its outputs.

    Attributes:
        name: the layer's.
        outputs: N.
        inputs: K.
        verdict: how all outputs of all tokens compare with the golden model.
        cycles: clock cycles, loading weights included.
        spikes: spikes fired, each of a burst counted.
        beats: cycles in which the array took spikes, a tick or a doubling.
        activity_expected: spikes and beats are as many as the golden model's time domain has.
        lane_utilisation: spikes for each lane and beat.
        simulated_seconds: wall time of the simulation.
        seconds: wall time of all work on the layer in this run.
        remembered: an earlier run simulated it, with equal packets on an equal design.
    """

    name: str
    outputs: int
    inputs: int
    verdict: Verdict
    cycles: int
    spikes: int
    beats: int
    activity_expected: bool
    lane_utilisation: float
    simulated_seconds: float
    seconds: float
    remembered: bool

    def figures(self) -> dict[str, Any]:
        """As an entry of ``per_layer``."""
        return {
            "name": self.name,
            "outputs": self.outputs,
            "inputs": self.inputs,
            "cycles": self.cycles,
            "spikes": self.spikes,
            "beats": self.beats,
            "activity_expected": self.activity_expected,
            "lane_utilisation": self.lane_utilisation,
            "mismatches": self.verdict.mismatches,
            "saturated": self.verdict.saturated,
            "first_mismatch": self.verdict.first,
            "simulated_seconds": self.simulated_seconds,
            "seconds": self.seconds,
            "remembered": self.remembered,
        }


@dataclass(frozen=True)
class ModelReport:
    """All layers of a model.

    Attributes:
        spec: the accelerator.
        tokens: activation vectors of each layer.
        layers: in the model's order.
        seconds: wall time of the whole run.
    """

    spec: Spec
    tokens: int
    layers: list[LayerOutcome]
    seconds: float

    def ok(self, *, allow_saturation: bool) -> bool:
        """Every layer is as it should be, and there is one."""
        return bool(self.layers) and all(layer.verdict.ok(allow_saturation=allow_saturation) for layer in self.layers)

    @property
    def mismatches(self) -> int:
        """Of all layers."""
        return sum(layer.verdict.mismatches for layer in self.layers)

    @property
    def saturated(self) -> int:
        """Outputs of all layers that the hardware flagged."""
        return sum(layer.verdict.saturated for layer in self.layers)

    @property
    def compared(self) -> int:
        """Outputs of all layers."""
        return sum(layer.verdict.outputs for layer in self.layers)

    @property
    def cycles(self) -> int:
        """Of all layers, one behind the other."""
        return sum(layer.cycles for layer in self.layers)

    @property
    def lane_utilisation(self) -> float:
        """Spikes for each lane and beat of all layers; 0 where there was no beat."""
        beats = sum(layer.beats for layer in self.layers)
        return sum(layer.spikes for layer in self.layers) / (beats * self.spec.lanes) if beats else 0.0

    @property
    def sim_cycles_per_second(self) -> float:
        """Speed of one simulator, over all layers."""
        return self.cycles / sum(layer.simulated_seconds for layer in self.layers)

    @property
    def first_mismatch(self) -> str:
        """One line on the first layer that is not equal; empty if there is none."""
        wrong = (f"{layer.name}, {layer.verdict.first}" for layer in self.layers if layer.verdict.first)
        return next(wrong, "")

    @property
    def remembered(self) -> int:
        """Layers whose simulation is from an earlier run."""
        return sum(layer.remembered for layer in self.layers)

    def figures(self, *, allow_saturation: bool) -> dict[str, Any]:
        """The report as the command line's JSON has it."""
        return {
            "ok": self.ok(allow_saturation=allow_saturation),
            "output_bits": self.spec.output_bits,
            "theta_fraction_bits": self.spec.theta_fraction_bits,
            "tokens": self.tokens,
            "layers": len(self.layers),
            "mismatches": self.mismatches,
            "saturated": self.saturated,
            "outputs": self.compared,
            "first_mismatch": self.first_mismatch,
            "cycles": self.cycles,
            "spikes": sum(layer.spikes for layer in self.layers),
            "beats": sum(layer.beats for layer in self.layers),
            "lane_utilisation": self.lane_utilisation,
            "sim_cycles_per_second": self.sim_cycles_per_second,
            "seconds": self.seconds,
            "remembered": self.remembered,
            "per_layer": [layer.figures() for layer in self.layers],
        }


class _SimulatorPlugin(WorkerPlugin):
    """A device for each worker process, which lives as long as the worker or the run."""

    def __init__(self, name: str, spec: Spec, *, cache: Path | None, fresh: bool) -> None:
        self.name = name
        self._open = partial(RememberingDevice, spec, cache=cache, fresh=fresh)
        self._device: RememberingDevice | None = None

    def setup(self, worker: Worker) -> None:
        """Nothing: what fails later fails as a job, with its own message."""

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - the interface's
        """End the simulator."""
        if self._device is not None:
            self._device.close()

    @property
    def device(self) -> RememberingDevice:
        """The device, made for the first job."""
        if self._device is None:
            self._device = self._open()
        return self._device


def _run_layer(plugin: str, job: tuple[str, LayerVectors]) -> LayerOutcome:
    """In a worker: a layer on the worker's device."""
    began = time.perf_counter()
    name, vectors = job
    found = get_worker().plugins[plugin]
    assert isinstance(found, _SimulatorPlugin)
    device = found.device
    report = compare_on_device(device, vectors, began=began)
    return outcome_of(name, vectors, report, remembered=device.remembered)


def outcome_of(name: str, vectors: LayerVectors, report: LayerReport, *, remembered: bool) -> LayerOutcome:
    """A layer's report without its outputs."""
    return LayerOutcome(
        name=name,
        outputs=vectors.outputs,
        inputs=vectors.inputs,
        verdict=report.verdict,
        cycles=report.cycles,
        spikes=report.spikes,
        beats=report.beats,
        activity_expected=report.activity_expected,
        lane_utilisation=report.lane_utilisation,
        simulated_seconds=report.cycles / report.sim_cycles_per_second,
        seconds=report.seconds,
        remembered=remembered,
    )


@contextmanager
def _simulators(client: Client, spec: Spec, *, cache: Path | None, fresh: bool) -> Iterator[str]:
    """Name of a plugin that every worker has, those that come later included."""
    name = f"spikequant-{uuid4()}"
    client.register_plugin(_SimulatorPlugin(name, spec, cache=cache, fresh=fresh), name=name)
    try:
        yield name
    finally:
        client.unregister_worker_plugin(name)


def cosimulate_model(
    client: Client,
    spec: Spec,
    layers: Iterable[tuple[str, LayerVectors]],
    *,
    tokens: int,
    began: float,
    progress: Callable[[LayerOutcome], None] = lambda _: None,
    cache: Path | None = None,
    fresh: bool = False,
) -> ModelReport:
    """Run layers on simulators of the spec's Verilog, one in each worker, and compare them with the integer level.

    What was simulated in an earlier run with equal packets on an equal design is taken from the cache, and compared
    again.

    Args:
        client: of the workers.
        spec: the accelerator.
        layers: names and integers; taken as workers are free.
        tokens: activation vectors of each.
        began: when the work began, on ``time.perf_counter``.
        progress: told each layer that is done.
        cache: on each worker's machine, for builds and recordings; the user's own by default.
        fresh: simulate everything again.

    Raises:
        InputError: a tool is missing.
        SimulationError: a simulator could not be built, or died.
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    order: list[str] = []

    def jobs() -> Iterator[tuple[str, tuple[str, LayerVectors]]]:
        for name, vectors in layers:
            order.append(name)
            yield name, (name, vectors)

    done: dict[str, LayerOutcome] = {}
    with _simulators(client, spec, cache=cache, fresh=fresh) as plugin:
        for name, outcome in run_jobs(client, partial(_run_layer, plugin), jobs()):
            done[name] = outcome
            progress(outcome)
    return ModelReport(
        spec=spec, tokens=tokens, layers=[done[name] for name in order], seconds=time.perf_counter() - began
    )
