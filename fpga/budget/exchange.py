"""Cost of one exchange with a board: a layer's packets, what they make the board do, and its results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spikequant.fpga.budget.setup import Setup
from spikequant.fpga.budget.timeline import Exchange, Step, exchange, greeting
from spikequant.fpga.sdram.layout import StoredLayer
from spikequant.fpga.sdram.packets import MemoryOperation, streamed_words
from spikequant.fpga.sdram.program import active_inputs, streamed_program, without_silent
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.cycles.throughput import SPIKING, Counted, Run, layer_runs, run_cycles
from spikequant.rtl.cycles.token_cost import spiking_costs
from spikequant.rtl.driver.packets import Words, operation_of
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.packet_sizes import result_words
from spikequant.rtl.shapes import Operation

LOADS = (Operation.WEIGHTS, Operation.NEURONS)
"""Packets that begin when all earlier runs and their results are done."""


@dataclass(frozen=True)
class Cost:
    """What an exchange takes.

    Attributes:
        line: the exchange as if the board answered at once.
        memory_words: 32-bit words that are read from the memory.
        memory_cycles: cycles of the memory's clock in which they are read.
        array_cycles: cycles of the accelerator from the first code to the last result, with weights at hand.
        board_cycles: cycles of the accelerator's clock with packets and results that take no time on the line.
        cycles: cycles of the accelerator's clock for the whole exchange.
    """

    line: Exchange
    memory_words: int
    memory_cycles: float
    array_cycles: int
    board_cycles: float
    cycles: float


def exchange_cost(setup: Setup, vectors: LayerVectors, *, stored: StoredLayer | None) -> Cost:
    """Cost of running a layer's tokens, with the packets that ``fpga.host.device.Accelerator`` sends.

    Args:
        setup: the board.
        vectors: the layer and its tokens; its weights may be any.
        stored: the layer in the memory; None sends weights over the line.

    Raises:
        ValueError: the memory holds other weights, or a level exceeds the range of the accelerator's codes.
    """
    spec = setup.spec
    if stored is None:
        ran, packets = vectors, layer_program(spec, vectors, brief=setup.brief).packets
    else:
        ran = without_silent(vectors, active_inputs(vectors))
        packets = streamed_program(stored, vectors, brief=setup.brief).packets
    tiles = [token_tiles(ran, token, spec) for token in range(ran.tokens)]
    runs = layer_runs(spec, spiking_costs(spec, ran, tiles), output_tiles=-(-ran.outputs // spec.neurons))
    counted = Counted(membranes=not setup.brief)
    steps = list(_steps(spec, packets, runs, counted))
    at_once = [Step(words=step.words, alone=step.alone, result=step.result) for step in steps]
    memory, byte_cycles = setup.memory, setup.byte_cycles
    word_cycles = memory.word_cycles * setup.clock_hz / memory.clock_hz if memory else 0.0
    hello = greeting(byte_cycles)
    words = sum(step.read for step in steps)
    return Cost(
        line=hello.then(exchange(at_once, byte_cycles=byte_cycles)).then(hello),
        memory_words=words,
        memory_cycles=words * memory.word_cycles if memory else 0.0,
        array_cycles=run_cycles(spec, runs, counted=counted, latencies=SPIKING)[-1],
        board_cycles=exchange(steps, byte_cycles=0, word_cycles=word_cycles).cycles,
        cycles=hello.then(exchange(steps, byte_cycles=byte_cycles, word_cycles=word_cycles)).then(hello).cycles,
    )


def _steps(spec: Spec, packets: Sequence[Words], runs: Sequence[Run], counted: Counted) -> Iterator[Step]:
    """The packets with the time of what they start; the last RUN of a group has all of the group's time."""
    reads = streamed_words(packets)
    times = _run_times(spec, runs, counted)
    waiting = 0
    result, cycles = 0, 0.0
    loaded = False
    for packet in packets:
        number = operation_of(packet)
        operation = None if number in set(MemoryOperation) else Operation(number)
        if number == MemoryOperation.STREAM:
            loaded = True
            yield Step(words=len(packet), read=next(reads), alone=True)
        elif operation in LOADS:
            loaded = True
            yield Step(words=len(packet), alone=True)
        elif operation is Operation.RUN:
            if not waiting:
                run, alone, after = next(times)
                waiting, cycles = len(run.costs), alone if loaded else after
                result = result_words(spec, brief=not counted.membranes) if run.costs[-1].complete else 0
                loaded = False
            waiting -= 1
            yield Step(words=len(packet)) if waiting else Step(words=len(packet), cycles=cycles, result=result)
        else:
            yield Step(words=len(packet))


def _run_times(spec: Spec, runs: Sequence[Run], counted: Counted) -> Iterator[tuple[Run, float, float]]:
    """Each run with its cycles when nothing else runs, and when it follows the previous one without a pause."""
    ends = run_cycles(spec, runs, counted=counted, latencies=SPIKING)
    before = done = 0
    for run in runs:
        done += len(run.costs)
        alone = run_cycles(spec, [run], counted=counted, latencies=SPIKING)[-1]
        yield run, alone, ends[done - 1] - before
        before = ends[done - 1]
