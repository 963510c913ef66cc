"""Several devices that run one layer together, each some of its outputs."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from spikequant.cosim.scoreboard import compare
from spikequant.cosim.simulator.build import accelerator_sources
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.device import Device, LayerRun, run_on_device


def output_parts(vectors: LayerVectors, spec: Spec, parts: int) -> list[LayerVectors]:
    """A layer cut into at most so many parts of whole tiles of outputs, as equal as tiles allow."""
    tiles = -(-vectors.outputs // spec.neurons)
    ends = [round(part * tiles / parts) * spec.neurons for part in range(parts + 1)]
    return [vectors.of_outputs(slice(start, end)) for start, end in itertools.pairwise(ends) if end > start]


@dataclass
class Work:
    """What a crew has done so far.

    Attributes:
        layers: layers run.
        outputs: outputs compared with the integer level.
        mismatches: as ``Verdict`` counts them.
        saturated: outputs that the hardware flagged.
        first: one line on the first mismatch; empty if there is none.
        cycles: clock cycles of all devices.
        simulated_seconds: wall time of all devices.
    """

    layers: int = 0
    outputs: int = 0
    mismatches: int = 0
    saturated: int = 0
    first: str = ""
    cycles: int = 0
    simulated_seconds: float = 0.0


Runner = Callable[[str, LayerVectors], LayerRun]
"""Runs a layer, or some of its outputs, on one device; the layer's name comes first."""


def runner(device: Device) -> Runner:
    """Sends a device all of a layer each time."""
    return lambda _name, vectors: run_on_device(device, vectors)


class Crew:
    """Devices of one spec that run layers together; every output is compared with the integer level.

    Args:
        spec: of the devices.
        runners: one or more, each of a device of its own.
        threads: with a worker for each device.

    Attributes:
        work: what they have done.
    """

    def __init__(self, spec: Spec, runners: Sequence[Runner], threads: ThreadPoolExecutor) -> None:
        self.spec = spec
        self.work = Work()
        self._runners = runners
        self._threads = threads

    def run(self, name: str, vectors: LayerVectors) -> LayerOutput:
        """A layer's results from the devices.

        Args:
            name: the layer's.
            vectors: the layer and its tokens.

        Raises:
            PacketError: an accelerator refused a packet or sent a broken one.
        """
        parts = output_parts(vectors, self.spec, len(self._runners))
        golden = self._threads.submit(run_layer, vectors, self.spec)
        runs = list(self._threads.map(lambda run, part: run(name, part), self._runners, parts))
        output = _joined(runs)
        verdict = compare(golden.result(), output)
        work = self.work
        work.layers += 1
        work.outputs += verdict.outputs
        work.mismatches += verdict.mismatches
        work.saturated += verdict.saturated
        work.first = work.first or (f"{name}, {verdict.first}" if verdict.first else "")
        work.cycles += sum(run.cycles for run in runs)
        work.simulated_seconds += sum(run.seconds for run in runs)
        return output


def _joined(runs: Sequence[LayerRun]) -> LayerOutput:
    return LayerOutput(
        membrane=np.concatenate([run.output.membrane for run in runs], axis=1),
        code=np.concatenate([run.output.code for run in runs], axis=1),
        saturated=np.concatenate([run.output.saturated for run in runs], axis=1),
    )


@contextmanager
def simulated_crew(spec: Spec, count: int, *, cache: Path | None = None) -> Iterator[Crew]:
    """A crew of simulators, which are gone at the end of the block.

    Args:
        spec: the accelerator.
        count: simulators.
        cache: where simulator builds are kept; the user's own by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: the simulator could not be built or did not start.
    """
    sources = accelerator_sources(spec)
    with ExitStack() as stack:
        devices = [stack.enter_context(SimulatedDevice(spec, sources=sources, cache=cache)) for _ in range(count)]
        yield Crew(spec, [runner(device) for device in devices], stack.enter_context(ThreadPoolExecutor(count + 1)))
