"""The encoder's scores against the levels that went in: each as often as its level says, in the fewest beats."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from spikequant.golden.layer.score import score_cost
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.encoder.encoder import Encoder
from spikequant.rtl.packet_sizes import CODES_PER_WORD
from spikequant.rtl.shapes import Behind, Operation, idle_place


@dataclass(frozen=True)
class Token:
    """A CODES packet's header fields and codes, each a value and whether it is salient."""

    header: dict[str, Any]
    codes: list[tuple[int, bool]]

    def words(self) -> list[dict[str, Any]]:
        slices = range(0, len(self.codes), CODES_PER_WORD)
        return [
            {
                "header": {"operation": Operation.CODES} | self.header,
                "codes": [{"value": value, "salient": salient} for value, salient in self.codes[start : start + 4]],
                "final": start == slices[-1],
            }
            for start in slices
        ]


@dataclass(frozen=True)
class Decoded:
    """What a token's codes mean.

    Attributes:
        level: int64 [depth], codes with their zero point or offset, without a shift; 0 where refused.
        salient: bool [depth].
        refusals: words with a refused code in them.
    """

    level: NDArray[np.int64]
    salient: NDArray[np.bool_]
    refusals: int


def decode(spec: Spec, token: Token) -> Decoded:
    level, salient = np.zeros(spec.depth, np.int64), np.zeros(spec.depth, np.bool_)
    refused = set()
    offset, zero = token.header["offset"], token.header["zero"]
    for index, (value, is_salient) in enumerate(token.codes):
        if is_salient:
            end = 2**spec.salient_bits
            wide = not spec.salient_bits or value >= end or not -end <= offset < end
        else:
            end = 2**spec.activation_bits
            wide = value >= end or zero >= end
        own = value + offset if is_salient else value - zero
        if wide or abs(own) > spec.max_level or (own and index >= spec.depth):
            refused.add(index // CODES_PER_WORD)
        elif own:
            level[index], salient[index] = own, is_salient
    return Decoded(level, salient, len(refused))


def with_merged(spec: Spec, token: Token) -> Token:
    """The token, whose header says whether its levels fit one phase together."""
    found, shift = decode(spec, token), token.header["shift"]
    cost = score_cost(spec, np.where(found.salient, found.level << shift, found.level), found.salient, shift)
    return Token(token.header | {"merged": int(cost.merged)}, token.codes)


def charge_of(spec: Spec, beats: list[Any], shift: int) -> NDArray[np.int64]:
    """What a score adds up to, by input, when it is run: int64 [depth]; and it keeps the rules of scores."""
    total, current, charge = (np.zeros(spec.depth, np.int64) for _ in range(3))
    for number, beat in enumerate(beats):
        behind = Behind(beat.behind)
        assert (behind == Behind.END) == (number == len(beats) - 1)
        assert beat.ticks <= spec.ramp
        if beat.double:
            assert not current.any()
            assert beat.ticks in (1, 2)
            charge <<= beat.ticks
        for lane, spike in enumerate(beat.spikes):
            if spike.place == idle_place(spec):
                assert not spike.sign
                continue
            assert not beat.double
            # a place is a row of lanes in the pair, and a lane in the row
            row, own = divmod(spike.place, spec.pair_lanes)
            current[row * spec.lanes + lane // spec.pair_lanes * spec.pair_lanes + own] += -1 if spike.sign else 1
        charge += beat.ticks * current
        if beat.double or behind == Behind.DOUBLE:
            current[:] = 0
        if behind in (Behind.SHIFTED, Behind.END):
            total += (charge + current) << (shift if behind == Behind.SHIFTED else 0)
            current[:], charge[:] = 0, 0
    return total


@pytest.fixture(scope="session")
def rtl_encode(run_streams: Callable[..., Any]) -> Callable[..., Any]:
    """Tokens through the encoder, back to back; ``held`` is set in a share of the cycles."""

    def run(spec: Spec, tokens: list[Token], *, hold: float = 0.0, seed: int = 0, **others: Any) -> Any:
        words = [word for token in tokens for word in with_merged(spec, token).words()]
        random = Random(seed)
        held = [random.random() < hold for _ in range(997)]
        return run_streams(
            Encoder(spec),
            {"i": words},
            [],
            until=lambda run: len(run.sent["i"]) == len(words) and not run.watched["busy"][-1],
            settings={"held": lambda cycle: held[cycle % len(held)]},
            watch=[
                "write.enable",
                "write.data",
                "busy",
                "refused",
                "begins.active",
                "begins.buffer",
                "made.active",
                "made.buffer",
            ],
            seed=seed,
            **others,
        )

    return run


def scores_of(spec: Spec, run: Any) -> list[list[tuple[int, Any]]]:
    """Addresses and beats of each score, in time order; each is told of when it begins, and when it is made."""
    scores: list[list[tuple[int, Any]]] = []
    watched = run.watched
    following = None
    lasts = []
    for cycle in range(run.cycles):
        if watched["write.enable"][cycle]:
            write = watched["write.data"][cycle]
            buffer, place = divmod(write.address, spec.score_words)
            assert watched["busy"][cycle]
            if write.address != following:
                scores.append([])
            scores[-1].append((write.address, write.beat))
            ended = Behind(write.beat.behind) == Behind.END or place == spec.score_words - 1
            following = None if ended else write.address + 1
            if ended:
                lasts.append((cycle, buffer))
    made = [(cycle, watched["made.buffer"][cycle]) for cycle, one in enumerate(watched["made.active"]) if one]
    begun = [watched["begins.buffer"][cycle] for cycle, one in enumerate(watched["begins.active"]) if one]
    assert begun == [buffer for _, buffer in made] == [buffer for _, buffer in lasts]
    # three cycles from there it may be read, when the last beat is in the memory
    assert all(cycle + 3 > last for (cycle, _), (last, _) in zip(made, lasts, strict=True))
    return scores


def check(spec: Spec, tokens: list[Token], run: Any) -> None:
    scores = scores_of(spec, run)
    assert len(scores) == len(tokens)
    for token, score in zip(tokens, scores, strict=True):
        decoded = decode(spec, token)
        shift = token.header["shift"]
        start = token.header["buffer"] * spec.score_words + token.header["address"]
        assert [address for address, _ in score] == list(range(start, start + len(score)))
        level = np.where(decoded.salient, decoded.level << shift, decoded.level)
        beats = [beat for _, beat in score]
        assert charge_of(spec, beats, shift).tolist() == level.tolist()
        cost = score_cost(spec, level, decoded.salient, shift)
        assert len(beats) == cost.words
        kinds = {Behind(beat.behind) for beat in beats}
        apart = bool((decoded.salient & (decoded.level != 0)).any()) and shift > 0
        assert (Behind.DOUBLE in kinds, Behind.SHIFTED in kinds) == (cost.merged, apart and not cost.merged)
    assert sum(run.watched["refused"]) == sum(decode(spec, token).refusals for token in tokens)
    assert not run.watched["busy"][0]
    assert not run.watched["busy"][-1]


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    lanes = draw(st.sampled_from([1, 2, 4, 8]))
    activation_bits = draw(st.integers(2, 7))
    return Spec(
        neurons=16,
        lanes=lanes,
        depth=lanes * draw(st.integers(2, 7)),
        weight_bits=draw(st.sampled_from([2, 4, 8])),
        activation_bits=activation_bits,
        salient_bits=draw(st.just(0) | st.integers(activation_bits, 7)),
        max_salient_shift=draw(st.integers(0, 15)),
        ramp=draw(st.sampled_from([4, 8, 16])),
        score_words=512,
    )


@st.composite
def tokens_of(draw: st.DrawFn, spec: Spec) -> Token:
    zero = draw(st.integers(0, spec.max_activation_code))
    offset = draw(st.integers(-spec.max_salient_code, 0))
    codes = [(zero, False)] * 4  # silent: every packet has a word
    for _ in range(draw(st.integers(1, spec.depth // CODES_PER_WORD + 1))):
        if draw(st.booleans()):
            normal = st.tuples(st.integers(0, spec.max_activation_code), st.just(False))
            salient = st.tuples(st.integers(0, spec.max_salient_code), st.just(bool(spec.salient_bits)))
            codes += draw(st.lists(normal | salient | st.just((zero, False)), min_size=4, max_size=4))
        else:
            codes += [(draw(st.integers(0, spec.max_activation_code)), False)] * 4
    header = {
        "buffer": draw(st.integers(0, 1)),
        "address": draw(st.sampled_from([0, 1, 37])),
        "shift": draw(st.integers(0, spec.max_salient_shift)),
        "zero": zero,
        "offset": offset,
    }
    return Token(header, codes[4:] if draw(st.booleans()) else codes)


@settings(max_examples=30)
@given(
    data=st.data(),
    spec=specs(),
    stall=st.sampled_from([0.0, 0.3, 0.7]),
    hold=st.sampled_from([0.0, 0.8]),
    seed=st.integers(0, 999),
)
def test_every_level_as_often_as_it_says(
    rtl_encode: Callable[..., Any], data: st.DataObject, spec: Spec, stall: float, hold: float, seed: int
) -> None:
    tokens = data.draw(st.lists(tokens_of(spec), min_size=1, max_size=5))
    check(spec, tokens, rtl_encode(spec, tokens, stall=stall, hold=hold, seed=seed))


def token_of(codes: list[tuple[int, bool]], **header: Any) -> Token:
    fields = {"buffer": 0, "address": 0, "shift": 0, "zero": 8, "offset": -3}
    return Token(fields | header, codes + [(8, False)] * (-len(codes) % 4))


SMALL = Spec(neurons=8, lanes=2, depth=16, score_words=64)


@pytest.mark.parametrize(
    "token",
    [
        token_of([(8, False)] * 16, shift=2),
        token_of([(3, True)] * 16, shift=2),  # salient, and silent: no salient phase
        token_of([(31, True)] * 16, shift=2),
        token_of([(31, True)] * 16, shift=0),
        token_of([(31, True)] * 16, shift=0, offset=0),
        token_of([(0, True), (15, False)] * 8, shift=11),
        token_of([(0, False)] * 16),
        # one lane alone, one input alone, and the last input
        token_of([(9, False), (8, False)] * 8),
        token_of([(8, False)] * 5 + [(0, False)] + [(8, False)] * 10),
        token_of([(8, False)] * 15 + [(4, True)], shift=5),
    ],
)
def test_uniform_tokens(rtl_encode: Callable[..., Any], token: Token) -> None:
    check(SMALL, [token] * 3, rtl_encode(SMALL, [token] * 3))


@pytest.mark.parametrize("lanes", [2, 8])
def test_salient_charges_are_doubled_in_place_as_long_as_they_fit(rtl_encode: Callable[..., Any], lanes: int) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=16, score_words=128, population_bits=8)
    tokens = [
        token_of([(31, True)] * salients + [(9, False)] * (16 - salients), shift=shift, offset=0)
        for shift in range(1, 5)
        for salients in (0, 1, 3, 8, 16)
    ]
    merged = [with_merged(spec, token).header["merged"] for token in tokens]
    assert {*merged} == {0, 1}
    check(spec, tokens, rtl_encode(spec, tokens))


def test_more_codes_than_the_memory_has_rows_are_refused(rtl_encode: Callable[..., Any]) -> None:
    # far more, so that a counter of rows that wraps would come back to valid ones
    loud_tail = token_of([(9, False)] * 16 * 20)
    silent_tail = token_of([(9, False)] * 16 + [(8, False)] * 32)
    run = rtl_encode(SMALL, [loud_tail, silent_tail])
    check(SMALL, [loud_tail, silent_tail], run)
    run = rtl_encode(SMALL, [silent_tail])
    check(SMALL, [silent_tail], run)
    assert not any(run.watched["refused"])


def test_codes_beyond_the_largest_are_refused(rtl_encode: Callable[..., Any]) -> None:
    normal = [(15, 8, False), (16, 8, True), (127, 15, True), (0, 15, False)]
    salient = [(31, 0, False), (31, 1, True), (32, -1, True), (0, -31, False), (0, -32, True), (31, -32, False)]
    salient += [(31, -33, True), (0, -128, True), (127, 127, True), (127, -127, True)]
    cases = [(token_of([(value, False)], zero=zero, shift=2), refused) for value, zero, refused in normal]
    for shift in (0, 2):
        cases += [(token_of([(value, True)], offset=own, shift=shift), refused) for value, own, refused in salient]
    tokens = [
        Token(token.header, [token.codes[0], *[(token.header["zero"], False)] * 3, (9, False)]) for token, _ in cases
    ]
    tokens = [Token(token.header, token.codes + [(token.header["zero"], False)] * 3) for token in tokens]
    assert [decode(SMALL, token).refusals for token in tokens] == [int(refused) for _, refused in cases]
    check(SMALL, tokens, rtl_encode(SMALL, tokens))


def test_a_zero_point_beyond_the_codes_is_refused(rtl_encode: Callable[..., Any]) -> None:
    tokens = [token_of([(15, False)] * 16, zero=zero) for zero in (16, 127, 255, 15)]
    run = rtl_encode(SMALL, tokens)
    check(SMALL, tokens, run)
    assert sum(run.watched["refused"]) == 3 * 4


def test_salient_codes_need_a_salient_phase(rtl_encode: Callable[..., Any]) -> None:
    spec = SMALL.model_copy(update={"salient_bits": 0})
    token = token_of([(9, False), (9, True), (3, True), (10, False)], shift=1)
    run = rtl_encode(spec, [token])
    check(spec, [token], run)
    assert sum(run.watched["refused"]) == 1


@pytest.mark.parametrize("address", [0, 63])
def test_a_score_beyond_its_buffer_is_cut_and_refused(rtl_encode: Callable[..., Any], address: int) -> None:
    spec = SMALL.model_copy(update={"depth": 256})
    long = token_of([(15, False), (1, False)] * 128, address=address)
    short = token_of([(9, False)] * 4, buffer=1)
    words = score_cost(spec, decode(spec, long).level, np.zeros(256, np.bool_), 0).words
    run = rtl_encode(spec, [short, long, short])
    first, score, last = scores_of(spec, run)
    assert [beat.as_bits() for _, beat in first] == [beat.as_bits() for _, beat in last]
    assert [place for place, _ in score] == list(range(address, 64))
    assert sum(run.watched["refused"]) == words - (64 - address)
    # the same token in a buffer with room: what fits is the same
    roomy = spec.model_copy(update={"score_words": 512})
    run = rtl_encode(roomy, [long])
    check(roomy, [long], run)
    (whole,) = scores_of(roomy, run)
    assert [beat.as_bits() for _, beat in score] == [beat.as_bits() for _, beat in whole[: 64 - address]]


def test_a_held_token_waits_in_its_lists(run_streams: Callable[..., Any]) -> None:
    words = [word for code in (9, 10) for word in token_of([(code, False)] * 16).words()]
    run = run_streams(
        Encoder(SMALL),
        {"i": words},
        [],
        until=lambda run: len(run.sent["i"]) == len(words) and not run.watched["busy"][-1],
        # the first token may go on in a single cycle
        settings={"held": lambda cycle: cycle < 100 or 101 <= cycle < 400},
        watch=["write.enable", "write.data", "busy", "begins.active", "begins.buffer", "made.active", "made.buffer"],
    )
    taken = [word.cycle for word in run.sent["i"]]
    made = [cycle for cycle, one in enumerate(run.watched["made.active"]) if one]
    # the next one comes in when the lists are free
    assert taken[3] < 50
    assert 100 < taken[4] < 150
    assert 100 < made[0] < 150
    assert made[1] > 400
    assert next(cycle for cycle, one in enumerate(run.watched["write.enable"]) if one and cycle > made[0] + 2) > 400
    assert len(scores_of(SMALL, run)) == 2


@pytest.mark.parametrize(("lanes", "value"), [(1, 9), (2, 0), (2, 9), (4, 9), (4, 0), (8, 9), (16, 0)])
def test_throughput(rtl_encode: Callable[..., Any], lanes: int, value: int) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=128)
    tokens = [token_of([(value, False)] * 128)]
    run = rtl_encode(spec, tokens)
    check(spec, tokens, run)
    words = [word.cycle for word in run.sent["i"]]
    # a word a cycle, and one more where one of its codes is at the ramp's top
    assert words[-1] - words[3] == 28 * (2 if value == 0 else 1)
    # a beat a cycle
    beats = [cycle for cycle, enable in enumerate(run.watched["write.enable"]) if enable]
    assert len(beats) == 128 // lanes
    assert {later - earlier for earlier, later in pairwise(beats[:-1])} <= {1}


def test_codes_come_in_while_the_token_before_is_walked(rtl_encode: Callable[..., Any]) -> None:
    spec = Spec(neurons=8, lanes=2, depth=256)
    levels = [8 + (-1) ** index * (1 + index % 7) for index in range(256)]
    tokens = [token_of([(level, False) for level in levels], buffer=number % 2) for number in range(4)]
    run = rtl_encode(spec, tokens)
    check(spec, tokens, run)
    ends = [
        cycle
        for cycle in range(run.cycles)
        if run.watched["write.enable"][cycle] and Behind(run.watched["write.data"][cycle].beat.behind) == Behind.END
    ]
    # no more than the walk, a cycle a beat and a level, and the way from one token to the next
    assert {later - earlier for earlier, later in pairwise(ends)} <= set(range(128, 128 + spec.ramp + 12))
    made = [cycle for cycle, one in enumerate(run.watched["made.active"]) if one]
    begun = [cycle for cycle, one in enumerate(run.watched["begins.active"]) if one]
    assert all(begins < over for begins, over in zip(begun[1:], made, strict=False))
