"""Pool of devices that split the outputs of each layer."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikequant.cosim.scoreboard import compare
from spikequant.cosim.simulator.build import accelerator_sources
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.fusion import fuse, split_output
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.device import Device, LayerRun, run_on_device


def output_parts(vectors: LayerVectors, spec: Spec, parts: int) -> list[LayerVectors]:
    """Split a layer into at most ``parts`` parts of whole output tiles, of sizes as equal as possible."""
    tiles = -(-vectors.outputs // spec.neurons)
    ends = [round(part * tiles / parts) * spec.neurons for part in range(parts + 1)]
    return [vectors.of_outputs(slice(start, end)) for start, end in itertools.pairwise(ends) if end > start]


@dataclass
class Work:
    """Totals of a pool.

    Attributes:
        layers: layers run, alone or as one with others.
        outputs: outputs compared with the integer level.
        mismatches, saturated: outputs, as in ``Verdict``.
        first: one line on the first mismatch; empty if there is none.
        cycles: clock cycles, summed over devices.
        simulated_seconds: wall time, summed over devices.
    """

    layers: int = 0
    outputs: int = 0
    mismatches: int = 0
    saturated: int = 0
    first: str = ""
    cycles: int = 0
    simulated_seconds: float = 0.0


Runner = Callable[[str, LayerVectors], LayerRun]
"""Function that runs a named layer, or some of its outputs, on one device."""


def runner(device: Device) -> Runner:
    """Return a runner that sends the whole layer to the device in every run."""
    return lambda _name, vectors: run_on_device(device, vectors)


class Crew:
    """Devices of one spec that split layers; every output is compared with the integer level.

    Args:
        spec: spec of the devices.
        runners: one for each device.
        threads: pool with a thread for each device, and one for the golden model.

    Attributes:
        work: totals of all runs.
    """

    def __init__(self, spec: Spec, runners: Sequence[Runner], threads: ThreadPoolExecutor) -> None:
        self.spec = spec
        self.work = Work()
        self._runners = runners
        self._threads = threads

    def run(self, name: str, vectors: LayerVectors) -> LayerOutput:
        """Run a layer on the devices; return its results. Arguments and errors as for ``run_fused``."""
        return self.run_fused({name: vectors})[name]

    def run_fused(self, layers: Mapping[str, LayerVectors]) -> dict[str, LayerOutput]:
        """Run layers that share their input as one layer; return the results of each.

        Args:
            layers: the layers and their tokens by name, as for ``fuse``.

        Raises:
            PacketError: an accelerator refused a packet or sent a broken one.
        """
        found = list(layers.values())
        name = "+".join(layers)
        parts = output_parts(fuse(found), self.spec, len(self._runners))
        golden = [self._threads.submit(run_layer, vectors, self.spec) for vectors in found]
        runs = list(self._threads.map(lambda run, part: run(name, part), self._runners, parts))
        outputs = dict(zip(layers, split_output(_joined(runs), found), strict=True))
        work = self.work
        for (own, output), expected in zip(outputs.items(), golden, strict=True):
            verdict = compare(expected.result(), output)
            work.layers += 1
            work.outputs += verdict.outputs
            work.mismatches += verdict.mismatches
            work.saturated += verdict.saturated
            work.first = work.first or (f"{own}, {verdict.first}" if verdict.first else "")
        work.cycles += sum(run.cycles for run in runs)
        work.simulated_seconds += sum(run.seconds for run in runs)
        return outputs


def _joined(runs: Sequence[LayerRun]) -> LayerOutput:
    return LayerOutput(
        membrane=np.concatenate([run.output.membrane for run in runs], axis=1),
        code=np.concatenate([run.output.code for run in runs], axis=1),
        saturated=np.concatenate([run.output.saturated for run in runs], axis=1),
    )


@contextmanager
def simulated_crew(spec: Spec, count: int, *, cache: Path | None = None) -> Iterator[Crew]:
    """Yield a pool of simulators, which end with the block.

    Args:
        spec: the accelerator.
        count: number of simulators.
        cache: root of the cache of simulator builds; the user's cache by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: the simulator could not be built or did not start.
    """
    sources = accelerator_sources(spec)
    with ExitStack() as stack:
        devices = [stack.enter_context(SimulatedDevice(spec, sources=sources, cache=cache)) for _ in range(count)]
        yield Crew(spec, [runner(device) for device in devices], stack.enter_context(ThreadPoolExecutor(count + 1)))
