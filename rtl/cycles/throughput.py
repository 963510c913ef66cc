"""Cycles of tokens on the whole accelerator: array, encoder, drain and read-out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.cycles.token_cost import TokenCost
from spikequant.rtl.packet_sizes import WORDS_PER_RESULT_HEADER, code_words, result_words
from spikequant.rtl.result_queue import READOUT_CYCLES, packets_waiting


@dataclass(frozen=True)
class Latencies:
    """Latencies of an array's pipelines, in cycles.

    Attributes:
        fill_waits: a token's codes stall until its buffer is free; otherwise only its walk does.
        made: from a token's last code to its score, in addition to the walk.
        next_codes: from a token's last code to the next token's first one, at least.
        next_apart: in addition, for each list of salient levels, if there are any.
        run: from a score to its first cycle in an idle array.
        read_ahead: from the last read of a token's buffer to the token's end.
        phases: most phases whose charges are in flight, one or two.
        settle: from the end of a phase to its first charge, unless the previous phase still leaves.
        result: from the first of a token's last charges to the read-out of its membrane.
        between: idle cycles between RESULT packets.
    """

    fill_waits: bool
    made: int
    next_codes: int
    next_apart: int
    run: int
    read_ahead: int
    phases: int
    settle: int
    result: int
    between: int


SPIKING = Latencies(
    fill_waits=False,
    made=20,
    next_codes=13,
    next_apart=1,
    run=10,
    read_ahead=18,
    phases=2,
    settle=19,
    result=30,
    between=0,
)
"""Latencies of the spiking accelerator."""


@dataclass(frozen=True)
class Counted:
    """Bottlenecks to count in addition to the array itself.

    Attributes:
        drain: a phase's charges leave the array one by one before the next phase may end.
        encoder: codes come in four a word, and are sorted or packed before they run.
        readout: membranes are read out, and results leave as codes, four a word.
        membranes: results leave whole, two words a neuron.
    """

    drain: bool = True
    encoder: bool = True
    readout: bool = True
    membranes: bool = False


ARRAY_ONLY = Counted(drain=False, encoder=False, readout=False)


Group = Sequence[TokenCost]
"""Tiles of one token whose scores are made in one buffer, before the first of them runs."""


def blocks(spec: Spec, groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Groups in order, in blocks that fit the two score buffers, alternating between them; no block is empty."""
    block: list[Group] = []
    used = [0, 0]
    for group in groups:
        words = sum(cost.words for cost in group)
        buffer = len(block) % 2
        if block and used[buffer] + words > spec.score_words:
            yield block
            block, used, buffer = [], [0, 0], 0
        block.append(group)
        used[buffer] += words
    if block:
        yield block


@dataclass(frozen=True)
class Run:
    """Runs of a token's tiles.

    Attributes:
        costs: costs of the tiles.
        buffer: index of the buffer with their scores.
        made: the scores are made first; otherwise they exist already.
    """

    costs: Group
    buffer: int
    made: bool


def layer_runs(spec: Spec, groups: Sequence[Group], *, output_tiles: int) -> list[Run]:
    """The runs of a layer: block by block, tile by tile of outputs; each token's score is made once."""
    return [
        Run(costs=group, buffer=number % 2, made=tile == 0)
        for block in blocks(spec, groups)
        for tile in range(output_tiles)
        for number, group in enumerate(block)
    ]


def run_cycles(spec: Spec, runs: Sequence[Run], *, counted: Counted, latencies: Latencies) -> list[int]:
    """Cycle in which each tile is done, from the first code on; loading weights and constants is not counted.

    Args:
        spec: the accelerator.
        runs: runs in order.
        counted: bottlenecks to count.
        latencies: latencies of the array.
    """
    brief = not counted.membranes
    words = result_words(spec, brief=brief)
    # the words that follow those of the first cluster
    following = words - WORDS_PER_RESULT_HEADER - code_words(spec, brief=brief) // spec.clusters
    waiting = packets_waiting(spec)
    buffer_free = [0, 0]
    codes_free = fetched = made = array_free = neurons_free = first_charge = read_out = stream_free = 0
    # when the charges of the last two phases have left
    left = [0, 0]
    done: list[int] = []
    complete: list[int] = []
    for run in runs:
        ready = 0
        free = buffer_free[run.buffer]
        for cost in run.costs:
            if not run.made or not counted.encoder:
                continue
            filled = (max(codes_free, free) if latencies.fill_waits else codes_free) + cost.fill
            # it may be walked when its buffer is free, and until then its lists are not
            held = max(filled, free)
            # one more token may wait in the lists during a walk, and the codes of the next one stall
            codes_free = max(
                held + latencies.next_codes + (latencies.next_apart * spec.ramp if cost.apart else 0), fetched
            )
            fetched = made
            made = max(held + latencies.made, made) + cost.walk
            codes_free = max(codes_free, fetched)
            # a run stalls until all earlier scores of its buffer are written
            ready = made + latencies.run
        for cost in run.costs:
            now = max(array_free, ready)
            for number, cycles in enumerate(cost.phases):
                if counted.readout and cost.complete and number == len(cost.phases) - 1 and len(complete) >= waiting:
                    neurons_free = max(neurons_free, complete[-waiting])
                # the last cycle of a phase stalls
                now = max(now + cycles, neurons_free)
                first_charge = max(now + latencies.settle, left[-1] if counted.drain else 0)
                if counted.drain:
                    left = [*left[-1:], first_charge + spec.cluster.neurons]
                    neurons_free = max(now + spec.drain_cycles, left[0]) if latencies.phases > 1 else left[-1]
            array_free = now
            if counted.readout and cost.complete:
                read_out = max(read_out, first_charge + latencies.result) + READOUT_CYCLES * spec.cluster.neurons
                stream_free = max(stream_free + latencies.between + words, read_out + following)
                complete.append(stream_free)
            done.append(stream_free if counted.readout else now)
        buffer_free[run.buffer] = now - latencies.read_ahead
    return done


def layer_cycles(
    spec: Spec, groups: Sequence[Group], *, output_tiles: int, counted: Counted, latencies: Latencies
) -> int:
    """Cycles of a layer's tokens in steady state: the same tokens come before and after them.

    Args:
        spec: the accelerator.
        groups: its tokens' tiles, in order.
        output_tiles: number of tiles of outputs.
        counted: bottlenecks to count.
        latencies: latencies of the array.
    """
    runs = layer_runs(spec, groups, output_tiles=output_tiles)
    done = run_cycles(spec, runs * 2, counted=counted, latencies=latencies)
    return done[-1] - done[len(done) // 2 - 1]
