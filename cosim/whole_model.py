"""Co-simulation of every layer of a model, on all cores or a cluster."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

from distributed import Client, Worker, WorkerPlugin, get_worker

from spikequant.cosim.cached_device import CachedDevice
from spikequant.cosim.layer import CosimFigures, compare_fused_on_device
from spikequant.golden.layer.fusion import neighbours_with_one_input
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.cluster import run_jobs
from spikequant.golden.support.figures import Figures


class LayerOutcome(Figures):
    """Figures of one layer of a model, an entry of ``per_layer``; further attributes as in ``CosimFigures``.

    Layers that share their input run as one layer. Each then has its own outputs, and a share of the run's cycles,
    spikes, beats and seconds in proportion to them.

    Attributes:
        name: the layer's name.
        outputs: N.
        inputs: K.
        activity_expected: whether spikes and beats are as many as in the golden model's time domain.
        simulated_seconds: wall time of the simulation.
        seconds: wall time of all work on the layer in this run.
        remembered: whether an earlier run simulated the layer, with equal packets on an equal design.
    """

    name: str
    outputs: int
    inputs: int
    cycles: int
    spikes: int
    beats: int
    activity_expected: bool
    lane_utilisation: float
    mismatches: int
    saturated: int
    first_mismatch: str
    simulated_seconds: float
    seconds: float
    remembered: bool


class ModelFigures(CosimFigures):
    """Figures of a model's co-simulation, over all layers; ``ok`` is false if there are none.

    Attributes:
        tokens: activation vectors of each layer.
        layers: number of layers.
        remembered: number of layers that an earlier run simulated.
        per_layer: the layers, in the model's order.
    """

    tokens: int
    layers: int
    remembered: int
    per_layer: list[LayerOutcome]


def model_figures(
    spec: Spec, layers: Sequence[LayerOutcome], *, tokens: int, seconds: float, allow_saturation: bool
) -> ModelFigures:
    """Sum up the layers of a model.

    Args:
        spec: the accelerator.
        layers: the layers, in the model's order.
        tokens: activation vectors of each layer.
        seconds: wall time of the whole run.
        allow_saturation: accept outputs whose membrane saturated.
    """

    def total(name: str) -> int:
        return sum(getattr(layer, name) for layer in layers)

    mismatches, saturated, beats, cycles = map(total, ("mismatches", "saturated", "beats", "cycles"))
    simulated = sum(layer.simulated_seconds for layer in layers)
    wrong = (f"{layer.name}, {layer.first_mismatch}" for layer in layers if layer.first_mismatch)
    return ModelFigures(
        ok=bool(layers) and not mismatches and (allow_saturation or not saturated),
        output_bits=spec.output_bits,
        theta_fraction_bits=spec.theta_fraction_bits,
        tokens=tokens,
        layers=len(layers),
        mismatches=mismatches,
        saturated=saturated,
        outputs=tokens * total("outputs"),
        first_mismatch=next(wrong, ""),
        cycles=cycles,
        spikes=total("spikes"),
        beats=beats,
        lane_utilisation=total("spikes") / (beats * spec.lanes) if beats else 0.0,
        sim_cycles_per_second=cycles / simulated if simulated else 0.0,
        seconds=seconds,
        remembered=total("remembered"),
        per_layer=list(layers),
    )


class _SimulatorPlugin(WorkerPlugin):
    """A device for each worker process, which lives until the worker or the run ends."""

    def __init__(self, name: str, spec: Spec, *, cache: Path | None, fresh: bool) -> None:
        self.name = name
        self._open = partial(CachedDevice, spec, cache=cache, fresh=fresh)
        self._device: CachedDevice | None = None

    def setup(self, worker: Worker) -> None:
        """Do nothing: an error in the first job is reported with that job."""

    def teardown(self, worker: Worker) -> None:  # noqa: ARG002 - the interface's
        """End the simulator."""
        if self._device is not None:
            self._device.close()

    @property
    def device(self) -> CachedDevice:
        """The device, made for the first job."""
        if self._device is None:
            self._device = self._open()
        return self._device


def _run_layers(plugin: str, layers: Mapping[str, LayerVectors]) -> list[LayerOutcome]:
    """Run layers that share their input on the device of the current worker."""
    began = time.perf_counter()
    found = get_worker().plugins[plugin]
    assert isinstance(found, _SimulatorPlugin)
    reports = compare_fused_on_device(found.device, list(layers.values()), began=began)
    outcomes = []
    for (name, vectors), report in zip(layers.items(), reports, strict=True):
        own = {
            "name": name,
            "outputs": vectors.outputs,
            "inputs": vectors.inputs,
            "activity_expected": report.activity_expected,
            "simulated_seconds": report.cycles / report.sim_cycles_per_second,
            "remembered": found.device.cached,
        }
        outcomes.append(LayerOutcome.model_validate(dict(report.figures(allow_saturation=True)) | own))
    return outcomes


@contextmanager
def _simulators(client: Client, spec: Spec, *, cache: Path | None, fresh: bool) -> Iterator[str]:
    """Register a plugin with every worker, including workers that join later; yield its name."""
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
    allow_saturation: bool = False,
    progress: Callable[[LayerOutcome], None] = lambda _: None,
    cache: Path | None = None,
    fresh: bool = False,
) -> ModelFigures:
    """Run layers on simulators of the spec's Verilog, one per worker, and compare them with the integer level.

    Consecutive layers that share their input run as one layer. Results of an earlier run with equal packets on an equal
    design come from the cache, and are compared again.

    Args:
        client: client of the workers.
        spec: the accelerator.
        layers: names and integers; consumed as workers become free.
        tokens: activation vectors of each layer.
        began: start of the work, on ``time.perf_counter``.
        allow_saturation: accept outputs whose membrane saturated.
        progress: called with each finished layer.
        cache: root of the cache of builds and results on each worker's machine; the user's cache by default.
        fresh: simulate everything again.

    Raises:
        InputError: a tool is missing.
        SimulationError: a simulator could not be built, or died.
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    order: list[str] = []

    def jobs() -> Iterator[tuple[str, dict[str, LayerVectors]]]:
        for group in neighbours_with_one_input(layers):
            order.extend(group)
            yield next(iter(group)), group

    done: dict[str, LayerOutcome] = {}
    with _simulators(client, spec, cache=cache, fresh=fresh) as plugin:
        for _, outcomes in run_jobs(client, partial(_run_layers, plugin), jobs()):
            for outcome in outcomes:
                done[outcome.name] = outcome
                progress(outcome)
    seconds = time.perf_counter() - began
    ordered = [done[name] for name in order]
    return model_figures(spec, ordered, tokens=tokens, seconds=seconds, allow_saturation=allow_saturation)
