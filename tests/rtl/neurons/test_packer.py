"""Words of results: every figure in its place, in brief and with all of them."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.neurons.output_stage import PACKER_CYCLES
from spikequant.rtl.neurons.packer import ResultPacker, words_waiting
from spikequant.rtl.packet_sizes import brief_code_bits, codes_per_word
from spikequant.rtl.result_queue import READOUT_CYCLES
from spikequant.rtl.shapes import Result

UNSEEN = PACKER_CYCLES // READOUT_CYCLES
"""Results that may come before ``room`` accounts for the first of them."""

Word = tuple[int, int | None]
"""A word, and its flags where they mean something."""


def random_results(random: Random, spec: Spec, *, brief: bool) -> list[dict[str, int]]:
    """A phase's."""
    ends = 2 ** (spec.biased_bits - 1), 2 ** (spec.output_bits - 1)
    return [
        {
            "membrane": random.choice((-ends[0], ends[0] - 1, -1, random.randrange(-ends[0], ends[0]))),
            "code": random.choice((-ends[1], ends[1] - 1, random.randrange(-ends[1], ends[1]))),
            "saturated": random.randrange(2),
            "brief": brief,
        }
        for _ in range(spec.neurons)
    ]


def words_of(spec: Spec, phase: list[dict[str, int]]) -> list[Word]:
    words: list[Word] = []
    if not phase[0]["brief"]:
        for result in phase:
            bits = Result.const({name: result[name] for name in ("membrane", "code", "saturated")}).as_bits()
            words += [(bits & 0xFFFFFFFF, None), (bits >> 32, None)]
        return words
    per_word, width = codes_per_word(spec), brief_code_bits(spec)
    for start in range(0, len(phase), per_word):
        part = phase[start : start + per_word]
        codes = sum((result["code"] & (2**width - 1)) << (width * place) for place, result in enumerate(part))
        words.append((codes, sum(result["saturated"] << place for place, result in enumerate(part))))
    return words


@pytest.fixture(scope="session")
def rtl_pack(simulate: Callable[..., None]) -> Callable[..., list[Any]]:
    """Results as fast as they may come and there is room, of which ``late`` still come without; the words."""

    def run(
        spec: Spec,
        results: list[dict[str, int]],
        *,
        count: int,
        late: int = 0,
        distributed: bool = False,
        stall: float = 0.0,
        seed: int = 0,
    ) -> list[Any]:
        packer = ResultPacker(spec, results=late + UNSEEN, distributed=distributed)
        random = Random(seed)
        words: list[Any] = []

        async def testbench(ctx: Any) -> None:
            sent, without_room, cycle, left = 0, 0, 0, 30
            while left:
                result = results[sent] if sent < len(results) else None
                room = ctx.get(packer.room_in_brief if result and result["brief"] else packer.room)
                # those on their way still come
                sends = cycle % 2 == 0 and result is not None and (room or without_room < late)
                without_room = 0 if room else without_room + sends
                ctx.set(packer.i.valid, sends)
                ctx.set(packer.i.value, result if sends else {"code": 1, "membrane": 3, "saturated": 1, "brief": 1})
                sent += sends
                ready = random.random() >= stall
                ctx.set(packer.o.ready, ready)
                _, _, valid, word = await ctx.tick().sample(packer.o.valid, packer.o.payload)
                if valid and ready:
                    words.append((cycle, word.data, word.flags))
                cycle += 1
                left = left - 1 if len(words) >= count else 30

        simulate(packer, testbench, limit=100_000)
        return words

    return run


@st.composite
def cases(draw: st.DrawFn) -> tuple[Spec, list[list[dict[str, int]]]]:
    spec = Spec(
        neurons=draw(st.sampled_from([8, 24])),
        output_bits=draw(st.integers(2, 16)),
        membrane_bits=draw(st.sampled_from([8, 32, 39])),
    )
    random = Random(draw(st.integers(0, 2**32)))
    return spec, [random_results(random, spec, brief=draw(st.booleans())) for _ in range(draw(st.integers(1, 6)))]


@settings(max_examples=30)
@given(
    case=cases(),
    stall=st.sampled_from([0.0, 0.5, 0.9]),
    late=st.integers(0, 11),
    distributed=st.booleans(),
    seed=st.integers(0, 99),
)
def test_words_of_any_phases(
    rtl_pack: Callable[..., list[Any]],
    case: tuple[Spec, list[list[dict[str, int]]]],
    stall: float,
    late: int,
    distributed: bool,
    seed: int,
) -> None:
    spec, phases = case
    expected = [word for phase in phases for word in words_of(spec, phase)]
    results = [result for phase in phases for result in phase]
    words = rtl_pack(spec, results, count=len(expected), late=late, distributed=distributed, stall=stall, seed=seed)
    assert len(words) == len(expected)
    for (_, data, flags), (expected_data, expected_flags) in zip(words, expected, strict=True):
        assert data == expected_data
        assert expected_flags is None or flags == expected_flags


def test_whole_results_take_a_word_a_cycle(rtl_pack: Callable[..., list[Any]]) -> None:
    spec = Spec(neurons=8)
    results = random_results(Random(1), spec, brief=False)
    cycles = [cycle for cycle, _, _ in rtl_pack(spec, results, count=16)]
    assert cycles == list(range(6, 22))


@pytest.mark.parametrize(("neurons", "output_bits"), [(8, 8), (96, 8), (96, 16), (192, 8)])
def test_a_small_memory_holds_a_phase_in_brief(
    rtl_pack: Callable[..., list[Any]], neurons: int, output_bits: int
) -> None:
    spec = Spec(neurons=neurons, output_bits=output_bits)
    words = neurons // codes_per_word(spec)
    assert words_waiting(spec, results=10, distributed=True) > words
    results = random_results(Random(1), spec, brief=True)
    # nothing is taken until all of it waits: then it comes a word a cycle
    seen = rtl_pack(spec, results * 2, count=2 * words, late=10 - UNSEEN, distributed=True, stall=0.0, seed=2)
    assert [data for _, data, _ in seen] == [data for data, _ in words_of(spec, results)] * 2
