"""Cycles of tokens on the whole accelerator: array, encoder, drain and read-out."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.accelerator import RUNS_WAITING
from spikequant.rtl.cycles.token_cost import TokenCost
from spikequant.rtl.order import GroupRun, block_order, output_order
from spikequant.rtl.packet_sizes import WORDS_PER_RESULT_HEADER, code_words, result_words
from spikequant.rtl.result_queue import READOUT_CYCLES, packets_waiting
from spikequant.rtl.sequencer import RESTART_CYCLES
from spikequant.rtl.shapes import HEADER_WORDS, Operation


@dataclass(frozen=True)
class Latencies:
    """Latencies of an array's pipelines, in cycles.

    Attributes:
        fill_waits: a token's codes stall until its buffer is free; otherwise only its walk does.
        made: from a token's last code to its score, in addition to the walk.
        next_codes: from a token's last code to the next token's first one, at least.
        next_apart: in addition, for each list of salient levels, if there are any.
        run: from a score to its first cycle in an idle array.
        sent: from a run in the stream to its first cycle in an idle array, if its score exists.
        restart: from the last beat of a run to the first one of the next run, at least, when it is read.
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
    sent: int
    restart: int
    read_ahead: int
    phases: int
    settle: int
    result: int
    between: int


SPIKING = Latencies(
    fill_waits=False,
    made=22,
    next_codes=14,
    next_apart=1,
    run=10,
    sent=16,
    restart=RESTART_CYCLES,
    read_ahead=18,
    phases=2,
    settle=20,
    result=29,
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


@dataclass(frozen=True)
class Made:
    """A group whose scores are made.

    Attributes:
        costs: costs of the tiles.
        buffer: index of the buffer for the scores.
    """

    costs: Group
    buffer: int


@dataclass(frozen=True)
class Run:
    """Runs of a group's tiles.

    Attributes:
        costs: costs of the tiles.
        buffer: index of the buffer with their scores.
        codes: groups whose codes come in immediately before these runs.
    """

    costs: Group
    buffer: int
    codes: tuple[Made, ...]


def _runs(groups: Sequence[Group], order: Iterable[GroupRun]) -> list[Run]:
    return [
        Run(
            costs=groups[run.score.group],
            buffer=run.score.buffer,
            codes=tuple(Made(costs=groups[score.group], buffer=score.buffer) for score in run.codes),
        )
        for run in order
    ]


def _words(groups: Sequence[Group]) -> list[int]:
    return [sum(cost.words for cost in group) for group in groups]


def layer_runs(spec: Spec, groups: Sequence[Group], *, output_tiles: int) -> list[Run]:
    """The runs of a layer in ``output_order``, in which ``rtl.driver.program.layer_program`` sends them."""
    return _runs(groups, output_order(_words(groups), tiles=output_tiles, score_words=spec.score_words))


def block_runs(spec: Spec, groups: Sequence[Group], *, output_tiles: int, repeats: int = 1) -> list[Run]:
    """The runs of a layer in ``block_order``, ``repeats`` times; each group is a whole token."""
    order = block_order(_words(groups), tiles=output_tiles, score_words=spec.score_words, repeats=repeats)
    return _runs(groups, order)


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
    # when the last score of each buffer was made, when the stream is free, and when each run began
    buffer_made = [0, 0]
    sent = 0
    began: list[int] = []
    # when the charges of the last two phases have left
    left = [0, 0]
    done: list[int] = []
    complete: list[int] = []
    for run in runs:
        for coming in run.codes if counted.encoder else ():
            free = buffer_free[coming.buffer]
            for cost in coming.costs:
                begins = max(codes_free, free) if latencies.fill_waits else codes_free
                filled = max(begins, sent) + cost.fill
                sent = filled
                # it may be walked when its buffer is free, and until then its lists are not
                held = max(filled, free)
                # one more token may wait in the lists during a walk, and the codes of the next one stall
                codes_free = max(
                    held + latencies.next_codes + (latencies.next_apart * spec.ramp if cost.apart else 0), fetched
                )
                fetched = made
                made = max(held + latencies.made, made) + cost.walk
                codes_free = max(codes_free, fetched)
            buffer_made[coming.buffer] = made
        # a run stalls until all earlier scores of its buffer are written
        ready = buffer_made[run.buffer] + latencies.run if counted.encoder else 0
        for cost in run.costs:
            if counted.encoder:
                # a run waits in the stream until there is room in the queue
                if len(began) > RUNS_WAITING:
                    sent = max(sent, began[-RUNS_WAITING - 1])
                sent += HEADER_WORDS[Operation.RUN]
                ready = max(ready, sent + latencies.sent)
            now = max(array_free, ready)
            began.append(now)
            for number, cycles in enumerate(cost.phases):
                if counted.readout and cost.complete and number == len(cost.phases) - 1 and len(complete) >= waiting:
                    neurons_free = max(neurons_free, complete[-waiting])
                # the last cycle of a phase stalls
                now = max(now + cycles, neurons_free)
                first_charge = max(now + latencies.settle, left[-1] if counted.drain else 0)
                if counted.drain:
                    left = [*left[-1:], first_charge + spec.cluster.neurons]
                    neurons_free = max(now + spec.drain_cycles, left[0]) if latencies.phases > 1 else left[-1]
            array_free = max(now, began[-1] + cost.words + latencies.restart)
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
    """Cycles of a layer's tokens in steady state, in the better order: the same tokens come before and after them.

    Loading is not counted. Tokens in ``block_order`` need a slot each for their membranes, so each group must be a
    whole token; otherwise ``output_order`` alone counts.

    Args:
        spec: the accelerator.
        groups: its tokens' tiles, in order.
        output_tiles: number of tiles of outputs.
        counted: bottlenecks to count.
        latencies: latencies of the array.
    """

    def steady(runs: Sequence[Run], repeats: int) -> int:
        """Cycles of the second repetition."""
        done = run_cycles(spec, runs, counted=counted, latencies=latencies)
        share = len(done) // repeats
        return done[2 * share - 1] - done[share - 1]

    found = steady(layer_runs(spec, groups, output_tiles=output_tiles) * 2, 2)
    if all(group[-1].complete for group in groups):
        # the codes of the third repetition come in during the second one
        found = min(found, steady(block_runs(spec, groups, output_tiles=output_tiles, repeats=3), 3))
    return found
