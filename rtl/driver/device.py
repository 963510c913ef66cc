"""Devices: accelerators, simulated or on a board, that take packets and return results, a layer at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.packets import TileResult, Words, parse_result
from spikequant.rtl.driver.program import LayerProgram, gather, gather_codes, layer_program

TOTAL_RANGE = 2**32
"""Modulus of the totals of spikes and beats."""


@dataclass(frozen=True)
class Played:
    """Results of packets that a device played.

    Attributes:
        packets: words of each RESULT packet.
        cycles: clock cycles from the first word in to the last word out; 0 from a device that does not count them.
        seconds: wall time of these cycles.
        spikes_before, beats_before: the device's totals before them.
    """

    packets: list[Words]
    cycles: int
    seconds: float
    spikes_before: int = 0
    beats_before: int = 0


class Device(Protocol):
    """An accelerator that takes packets; it has one user at a time."""

    @property
    def spec(self) -> Spec:
        """Spec of the accelerator."""

    def play(
        self, packets: Sequence[Words], results: int, *, progress: Callable[[int], None] = lambda _: None
    ) -> Played:
        """Send packets, and wait for results. Nothing but the totals depends on earlier packets.

        Args:
            packets: words of each packet; they load all weights, constants and scores that they use.
            results: RESULT packets to wait for.
            progress: called now and then with the number of results so far.
        """


@dataclass(frozen=True)
class LayerRun:
    """Result of a layer on a device.

    Attributes:
        output: membranes, unless results are brief, and codes and flags of all tokens and neurons.
        cycles: clock cycles, loading weights included.
        seconds: wall time of the device.
        spikes: spikes fired, each of a burst counted.
        beats: cycles in which the array took spikes, a tick or a doubling.
    """

    output: LayerOutput
    cycles: int
    seconds: float
    spikes: int
    beats: int


def run_on_device(
    device: Device,
    vectors: LayerVectors,
    *,
    brief: bool = False,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> LayerRun:
    """Load a layer of any size, run its tokens, and read the results.

    Args:
        device: the accelerator.
        vectors: the layer and its tokens.
        brief: results have no membranes.
        progress: called with the number of results so far and in all.

    Raises:
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    return run_program(device, layer_program(device.spec, vectors, brief=brief), vectors, progress=progress)


def run_program(
    device: Device,
    program: LayerProgram,
    vectors: LayerVectors,
    *,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> LayerRun:
    """Play a layer's program, and read the results.

    Args:
        device: the accelerator.
        program: packets of the layer and its tokens.
        vectors: the layer and its tokens.
        progress: called with the number of results so far and in all.

    Raises:
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    total = len(program.places)
    progress(0, total)
    played = device.play(program.packets, total, progress=lambda done: progress(done, total))
    results = [parse_result(device.spec, packet) for packet in played.packets]
    return LayerRun(
        output=_output(vectors, program, results),
        cycles=played.cycles,
        seconds=played.seconds,
        spikes=(results[-1].spikes - played.spikes_before) % TOTAL_RANGE,
        beats=(results[-1].beats - played.beats_before) % TOTAL_RANGE,
    )


def _output(vectors: LayerVectors, program: LayerProgram, results: Sequence[TileResult]) -> LayerOutput:
    """The layer's output from whole or brief results."""
    if all(result.membrane is not None for result in results):
        return gather(vectors, program.places, results)
    code, saturated = gather_codes(vectors, program.places, results)
    return LayerOutput(membrane=np.zeros((vectors.tokens, 0), np.int64), code=code, saturated=saturated)
