"""The encoder's beats against the levels that went in: each event once, in time order, in the fewest beats."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.spec import Spec
from rtl.encoder import Encoder
from rtl.shapes import CODES_PER_WORD, Half, Operation

Event = tuple[int, int, int]
"""Lane, row, and whether it subtracts."""


@dataclass(frozen=True)
class Token:
    """A RUN packet's header fields and codes, each a value and whether it is salient."""

    header: dict[str, Any]
    codes: list[tuple[int, bool]]

    def words(self) -> list[dict[str, Any]]:
        slices = range(0, len(self.codes), CODES_PER_WORD)
        return [
            {
                "header": {"operation": Operation.RUN} | self.header,
                "codes": [{"value": value, "salient": salient} for value, salient in self.codes[start : start + 4]],
                "final": start == slices[-1],
            }
            for start in slices
        ]


@dataclass(frozen=True)
class Decoded:
    """What a token's codes mean: the events of each level, by salience; and how many were refused in a cycle."""

    events: dict[bool, dict[int, Counter[Event]]]
    refusals: int


def decode(spec: Spec, token: Token) -> Decoded:
    events: dict[bool, dict[int, Counter[Event]]] = {False: {}, True: {}}
    together = min(spec.lanes, CODES_PER_WORD)
    refused_slices = set()
    for index, (value, salient) in enumerate(token.codes):
        level = value + token.header["offset"] if salient else value - token.header["zero"]
        row = token.header["input"] // spec.lanes + index // spec.lanes
        beyond = row >= spec.rows or abs(level) > spec.max_level
        if (level and beyond) or (salient and not spec.salient_bits):
            refused_slices.add(index // together)
        elif level:
            event = (index % spec.lanes, row, int(level < 0))
            events[salient].setdefault(abs(level), Counter())[event] += 1
    return Decoded(events, len(refused_slices))


def check_token(spec: Spec, token: Token, beats: list[Any]) -> list[Any]:
    """Hold a token's beats against its codes; returns the beats that follow."""
    decoded = decode(spec, token)
    header = token.header
    phases = ([True] if decoded.events[True] else []) + [False]
    for salient in phases:
        levels = decoded.events[salient]
        for level in range(max(levels, default=0), 0, -1):
            expected = levels.get(level, Counter())
            # as many beats as the busiest lane has events, and at least the one that ticks
            per_lane = Counter(lane for lane, _, _ in expected.elements())
            length = max([1, *per_lane.values()])
            fired: Counter[Event] = Counter()
            for number, beat in enumerate(beats[:length]):
                assert not beat.end
                assert beat.tick == (number == length - 1)
                lanes = [lane for lane in range(spec.lanes) if beat.fire >> lane & 1]
                fired.update((lane, beat.row[lane], beat.sign >> lane & 1) for lane in lanes)
            assert fired == expected
            beats = beats[length:]
        end, *beats = beats
        assert (end.end, end.fire, end.tick) == (1, 0, 0)
        shift = (spec.weight_bits if header["half"] == Half.HIGH else 0) + (header["shift"] if salient else 0)
        assert end.phase.shift == shift
        assert end.phase.slot == header["slot"]
        assert end.phase.first == (header["first"] and salient == phases[0])
        assert end.phase.last == (header["last"] and not salient)
        assert end.phase.low == (header["half"] == Half.LOW)
    return beats


def phases_of(spec: Spec, token: Token) -> int:
    return 1 + bool(decode(spec, token).events[True])


@pytest.fixture(scope="session")
def rtl_encode(run_streams: Callable[..., Any]) -> Callable[..., Any]:
    """Tokens through the encoder, back to back."""

    def run(spec: Spec, tokens: list[Token], **others: Any) -> Any:
        ends = sum(phases_of(spec, token) for token in tokens)
        return run_streams(
            Encoder(spec),
            {"i": [word for token in tokens for word in token.words()]},
            ["o"],
            until=lambda run: sum(beat.payload.end for beat in run.received["o"]) >= ends,
            watch=["idle", "refused"],
            **others,
        )

    return run


def check(spec: Spec, tokens: list[Token], run: Any) -> None:
    beats = run.payloads("o")
    # words in and beats out at the times when everything that came in has gone out
    settled = {(0, 0)}
    words = 0
    for token in tokens:
        beats = check_token(spec, token, beats)
        words += len(token.words())
        settled.add((words, len(run.received["o"]) - len(beats)))
    assert not beats
    assert sum(run.watched["refused"]) == sum(decode(spec, token).refusals for token in tokens)
    first, last = run.sent["i"][0].cycle, run.received["o"][-1].cycle
    assert run.watched["idle"][0]
    for cycle in range(first + 1, last + 1):
        if run.watched["idle"][cycle]:
            taken = sum(word.cycle < cycle for word in run.sent["i"])
            given = sum(beat.cycle < cycle for beat in run.received["o"])
            assert (taken, given) in settled
    assert all(run.watched["idle"][last + 1 :])


@st.composite
def specs(draw: st.DrawFn) -> Spec:
    lanes = draw(st.sampled_from([1, 2, 4, 8]))
    activation_bits = draw(st.integers(2, 7))
    return Spec(
        neurons=16,
        lanes=lanes,
        depth=lanes * draw(st.integers(2, 6)),
        weight_bits=draw(st.sampled_from([2, 4, 8])),
        activation_bits=activation_bits,
        salient_bits=draw(st.just(0) | st.integers(activation_bits, 7)),
        max_salient_shift=draw(st.integers(0, 15)),
        membrane_slots=draw(st.sampled_from([1, 3, 256])),
    )


@st.composite
def tokens_of(draw: st.DrawFn, spec: Spec) -> Token:
    zero = draw(st.integers(0, spec.max_activation_code))
    offset = draw(st.integers(-spec.max_salient_code, 0))
    row = draw(st.integers(0, spec.rows - 1))
    codes = [(zero, False)] * 4  # silent: every packet has a word
    for _ in range(draw(st.integers(1, spec.depth // CODES_PER_WORD + 2))):
        if draw(st.booleans()):
            normal = st.tuples(st.integers(0, spec.max_activation_code), st.just(False))
            salient = st.tuples(st.integers(0, spec.max_salient_code), st.just(bool(spec.salient_bits)))
            codes += draw(st.lists(normal | salient | st.just((zero, False)), min_size=4, max_size=4))
        else:
            codes += [(draw(st.integers(0, spec.max_activation_code)), False)] * 4
    header = {
        "first": draw(st.booleans()),
        "last": draw(st.booleans()),
        "half": draw(st.sampled_from(list(Half))),
        "shift": draw(st.integers(0, spec.max_salient_shift)),
        "slot": draw(st.integers(0, spec.membrane_slots - 1)),
        "zero": zero,
        "offset": offset,
        "input": row * spec.lanes,
    }
    return Token(header, codes[4:] if draw(st.booleans()) else codes)


@settings(max_examples=20)
@given(data=st.data(), spec=specs(), stall=st.sampled_from([0.0, 0.3, 0.7]), seed=st.integers(0, 999))
def test_every_event_once_and_in_time_order(
    rtl_encode: Callable[..., Any], data: st.DataObject, spec: Spec, stall: float, seed: int
) -> None:
    tokens = data.draw(st.lists(tokens_of(spec), min_size=1, max_size=5))
    check(spec, tokens, rtl_encode(spec, tokens, stall=stall, seed=seed))


def token_of(codes: list[tuple[int, bool]], **header: Any) -> Token:
    fields = {"first": 1, "last": 1, "half": Half.WHOLE, "shift": 0, "slot": 0, "zero": 8, "offset": -3, "input": 0}
    return Token(fields | header, codes + [(8, False)] * (-len(codes) % 4))


SMALL = Spec(neurons=8, lanes=2, depth=16)


@pytest.mark.parametrize(
    "token",
    [
        token_of([(8, False)] * 16),
        token_of([(3, True)] * 16),  # salient, and silent: no salient phase
        token_of([(34, True)] * 16),
        token_of([(0, True), (15, False)] * 8),
        token_of([(0, False)] * 16),
    ],
    ids=["silent", "silent salient", "top salient", "both", "lowest"],
)
def test_uniform_tokens(rtl_encode: Callable[..., Any], token: Token) -> None:
    check(SMALL, [token] * 3, rtl_encode(SMALL, [token] * 3))


@pytest.mark.parametrize("first_input", [2, 16, 18, 32, 64, 96, 4096, 65534])
def test_codes_beyond_the_memory_are_refused(rtl_encode: Callable[..., Any], first_input: int) -> None:
    good = token_of([(9, False)] * 16)
    beyond = token_of([(9, False)] * 16, input=first_input)
    run = rtl_encode(SMALL, [good, beyond, good])
    check(SMALL, [good, beyond, good], run)
    assert any(run.watched["refused"])


def test_more_codes_than_the_memory_has_rows_are_refused(rtl_encode: Callable[..., Any]) -> None:
    # far more, so that a counter of rows that wraps would come back to valid ones
    token = token_of([(9, False)] * 16 * 20)
    check(SMALL, [token], rtl_encode(SMALL, [token]))
    silent_tail = token_of([(9, False)] * 16 + [(8, False)] * 32)
    run = rtl_encode(SMALL, [silent_tail])
    check(SMALL, [silent_tail], run)
    assert not any(run.watched["refused"])


@pytest.mark.parametrize(
    ("value", "salient", "header", "refused"),
    [
        (31 + 8, False, {}, False),
        (32 + 8, False, {}, True),
        (127, False, {"zero": 255}, True),
        (0, False, {"zero": 255}, True),
        (31, True, {"offset": 0}, False),
        (32, True, {"offset": 0}, True),
        (0, True, {"offset": -31}, False),
        (0, True, {"offset": -32}, True),
        (0, True, {"offset": -128}, True),
        (127, True, {"offset": 127}, True),
    ],
)
def test_levels_beyond_the_largest_are_refused(
    rtl_encode: Callable[..., Any], value: int, salient: bool, header: dict[str, int], refused: bool
) -> None:
    token = token_of([(value, salient)], **header)
    token = Token(token.header, [token.codes[0], *[(min(token.header["zero"], 127), False)] * 3])
    run = rtl_encode(SMALL, [token])
    check(SMALL, [token], run)
    assert any(run.watched["refused"]) == (refused or token.header["zero"] == 255)


def test_salient_codes_need_a_salient_phase(rtl_encode: Callable[..., Any]) -> None:
    spec = SMALL.model_copy(update={"salient_bits": 0})
    token = token_of([(9, False), (9, True), (8, True), (10, False)])
    run = rtl_encode(spec, [token])
    check(spec, [token], run)
    assert any(run.watched["refused"])


@pytest.mark.parametrize("lanes", [1, 2, 4, 8, 16])
def test_throughput(rtl_encode: Callable[..., Any], lanes: int) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=64)
    tokens = [token_of([(9, False)] * 64)] * 3
    run = rtl_encode(spec, tokens)
    check(spec, tokens, run)
    words = [word.cycle for word in run.sent["i"]]
    # a word holds four codes, of which as many go in at once as there are lanes
    assert words[15] - words[0] == 15 * max(1, CODES_PER_WORD // lanes)
    beats = [beat.cycle for beat in run.received["o"]][: 64 // lanes + 1]
    assert beats == list(range(beats[0], beats[0] + len(beats)))
    assert beats[0] - words[15] == 5
