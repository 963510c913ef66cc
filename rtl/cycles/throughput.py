"""Cycles of tokens on the whole accelerator, with everything counted that may be slow."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.cycles.token_cost import TokenCost
from spikequant.rtl.packet_sizes import WORDS_PER_RESULT_HEADER, code_words, result_words
from spikequant.rtl.result_queue import READOUT_CYCLES, packets_waiting


@dataclass(frozen=True)
class Latencies:
    """What an array's pipelines take, in cycles.

    Attributes:
        fill_waits: a token's codes come in only when its buffer is free; else its walk waits for that.
        made: from a token's last code to its score, beside the walk.
        next_codes: from a token's last code to the next token's first one, at least.
        next_apart: the same for each list of salient levels, where there are any.
        run: from a score to its first cycle in an idle array.
        read_ahead: before a token's end all of its buffer has been read.
        phases: whose charges are on their way at most, one or two.
        settle: from the end of a phase to its charges, which leave one by one, and behind those of the phase before.
        result: from the first of a token's last charges to the read-out of its membrane.
        between: from a RESULT packet's last word to the next one's first, beside one.
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
"""Of the accelerator."""


@dataclass(frozen=True)
class Counted:
    """What beside the array itself may make tokens wait.

    Attributes:
        drain: a phase's charges leave the array one by one before the next phase may end.
        encoder: codes come four a word and are sorted, or packed, before they run.
        readout: membranes are read out, and leave at least as codes, four a word.
        membranes: they leave too, two words a neuron.
    """

    drain: bool = True
    encoder: bool = True
    readout: bool = True
    membranes: bool = False


ARRAY_ONLY = Counted(drain=False, encoder=False, readout=False)


Group = Sequence[TokenCost]
"""Tiles of one token whose scores are made in one buffer, before the first of them runs."""


def blocks(spec: Spec, groups: Sequence[Group]) -> Iterator[list[Group]]:
    """Groups in order, in blocks that the two score buffers hold together, by turns; a block is never empty."""
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
        costs: of the tiles.
        buffer: in which their scores are.
        made: the scores are made before, else they are there.
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
    """When each tile is done, in cycles from the first code on; loading weights and constants is not counted.

    Args:
        spec: the accelerator.
        runs: in order.
        counted: what may make them wait.
        latencies: of the array.
    """
    brief = not counted.membranes
    words = result_words(spec, brief=brief)
    # the words that follow those of the first cluster
    behind = words - WORDS_PER_RESULT_HEADER - code_words(spec, brief=brief) // spec.clusters
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
            # a token that is walked lets one more wait in its lists, and the codes behind that one wait for it
            codes_free = max(
                held + latencies.next_codes + (latencies.next_apart * spec.ramp if cost.apart else 0), fetched
            )
            fetched = made
            made = max(held + latencies.made, made) + cost.walk
            codes_free = max(codes_free, fetched)
            # a run waits for all scores of its buffer whose codes came before it
            ready = made + latencies.run
        for cost in run.costs:
            now = max(array_free, ready)
            for number, cycles in enumerate(cost.phases):
                if counted.readout and cost.complete and number == len(cost.phases) - 1 and len(complete) >= waiting:
                    neurons_free = max(neurons_free, complete[-waiting])
                # the phase's last cycle is the one that waits
                now = max(now + cycles, neurons_free)
                first_charge = max(now + latencies.settle, left[-1] if counted.drain else 0)
                if counted.drain:
                    left = [*left[-1:], first_charge + spec.cluster.neurons]
                    neurons_free = max(now + spec.drain_cycles, left[0]) if latencies.phases > 1 else left[-1]
            array_free = now
            if counted.readout and cost.complete:
                read_out = max(read_out, first_charge + latencies.result) + READOUT_CYCLES * spec.cluster.neurons
                stream_free = max(stream_free + latencies.between + words, read_out + behind)
                complete.append(stream_free)
            done.append(stream_free if counted.readout else now)
        buffer_free[run.buffer] = now - latencies.read_ahead
    return done


def layer_cycles(
    spec: Spec, groups: Sequence[Group], *, output_tiles: int, counted: Counted, latencies: Latencies
) -> int:
    """Cycles of a layer's tokens when others like them come before and behind them.

    Args:
        spec: the accelerator.
        groups: its tokens' tiles, in order.
        output_tiles: tiles of outputs.
        counted: what may make them wait.
        latencies: of the array.
    """
    runs = layer_runs(spec, groups, output_tiles=output_tiles)
    done = run_cycles(spec, runs * 2, counted=counted, latencies=latencies)
    return done[-1] - done[len(done) // 2 - 1]
