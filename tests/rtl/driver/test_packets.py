"""Packets against their layouts, field by field."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.driver.packets import (
    PacketError,
    TokenTile,
    Words,
    codes_packet,
    neurons_packet,
    parse_result,
    run_packet,
    weights_packet,
)
from spikequant.rtl.packet_sizes import result_words
from spikequant.rtl.shapes import CodesHeader, Half, Operation, Result, ResultHeader, RunHeader

SMALL = Spec(neurons=8, lanes=2, depth=16)


def bits_of(words: Words) -> int:
    return sum(int(word) << (32 * index) for index, word in enumerate(words))


@pytest.mark.parametrize(("weight_bits", "neurons"), [(2, 16), (4, 24), (8, 8)])
def test_weights_fill_up_from_the_least_significant_bits(weight_bits: int, neurons: int) -> None:
    spec = Spec(neurons=neurons, lanes=2, depth=16, weight_bits=weight_bits)
    codes = np.random.default_rng(1).integers(0, spec.max_weight_code + 1, (5, neurons), dtype=np.uint8)
    packet = weights_packet(spec, first_input=6, codes=codes)
    assert packet.dtype == np.uint32
    assert packet[0] == Operation.WEIGHTS.value | 6 << 16
    assert len(packet) == 1 + 5 * spec.words_per_row
    body = bits_of(packet[1:])
    unpacked = [(body >> (weight_bits * index)) & spec.max_weight_code for index in range(codes.size)]
    assert unpacked == codes.reshape(-1).tolist()


def test_constants_of_neurons() -> None:
    packet = neurons_packet(
        theta=np.array([1, 2**32 - 1], np.uint32),
        bias=np.array([-1, -(2**31)], np.int32),
        zero=np.array([0, 15], np.uint8),
        first_neuron=3,
    )
    assert packet.tolist() == [Operation.NEURONS.value | 3 << 16, 1, 2**32 - 1, 0, 2**32 - 1, 2**31, 15]


@given(
    values=st.lists(st.tuples(st.integers(0, 127), st.booleans()), min_size=1, max_size=9),
    zero=st.integers(0, 127),
    shift=st.integers(0, 15),
    offset=st.integers(-128, 127),
    buffer=st.integers(0, 1),
    address=st.integers(0, 65535),
)
def test_codes_behind_their_header_padded_with_silence(
    values: list[tuple[int, bool]], zero: int, shift: int, offset: int, buffer: int, address: int
) -> None:
    value, salient = (np.array(column) for column in zip(*values, strict=True))
    tile = TokenTile(value=value.astype(np.uint8), salient=salient, zero=zero, shift=shift, offset=offset, merged=True)
    packet = codes_packet(tile, buffer=buffer, address=address)
    header = CodesHeader.from_bits(bits_of(packet[:2]))
    assert (header.operation, header.buffer, header.address) == (Operation.CODES, buffer, address)
    assert (header.zero, header.shift, header.offset) == (zero, shift, offset)
    codes = packet[2:].view(np.uint8).tolist()
    assert codes[: len(values)] == [number | is_salient << 7 for number, is_salient in values]
    assert codes[len(values) :] == [zero] * (-len(values) % 4)


@given(
    buffer=st.integers(0, 1),
    address=st.integers(0, 65535),
    shift=st.integers(0, 15),
    slot=st.integers(0, 255),
    first_input=st.integers(0, 65535),
    first=st.booleans(),
    last=st.booleans(),
    half=st.sampled_from(list(Half)),
    brief=st.booleans(),
)
def test_a_run_is_its_header(
    buffer: int, address: int, shift: int, slot: int, first_input: int, first: bool, last: bool, half: Half, brief: bool
) -> None:
    packet = run_packet(
        buffer=buffer,
        address=address,
        shift=shift,
        first_input=first_input,
        slot=slot,
        first=first,
        last=last,
        half=half,
        brief=brief,
    )
    assert (len(packet), packet.dtype) == (2, np.uint32)
    header = RunHeader.from_bits(bits_of(packet))
    assert (header.operation, header.half, header.shift) == (Operation.RUN, half, shift)
    assert (header.first, header.last, header.slot, header.input) == (first, last, slot, first_input)
    assert (header.buffer, header.address, header.brief) == (buffer, address, brief)


def result_packet(spec: Spec, rows: list[tuple[int, int, bool]], **header: object) -> Words:
    fields = {"operation": Operation.RESULT, "slot": 5} | header
    words = [ResultHeader.const(fields).as_bits()]
    for membrane, code, saturated in rows:
        bits = Result.const({"membrane": membrane, "code": code, "saturated": saturated}).as_bits()
        words += [bits & 0xFFFFFFFF, bits >> 32]
    assert len(rows) == spec.neurons
    return np.array([*words, 2**32 - 1, 7], np.uint32)


@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from([-(2**39), 2**39 - 1, -1, 0]) | st.integers(-(2**39), 2**39 - 1),
            st.integers(-(2**15), 2**15 - 1),
            st.booleans(),
        ),
        min_size=8,
        max_size=8,
    )
)
def test_a_result_comes_apart_as_it_was_put_together(rows: list[tuple[int, int, bool]]) -> None:
    packet = result_packet(SMALL, rows)
    assert len(packet) == result_words(SMALL)
    result = parse_result(SMALL, packet)
    assert result.membrane is not None
    assert list(zip(result.membrane.tolist(), result.code.tolist(), result.saturated.tolist(), strict=True)) == rows
    assert (result.slot, result.beats, result.spikes) == (5, 2**32 - 1, 7)
    assert (result.membrane.dtype, result.code.dtype, result.saturated.dtype) == (np.int64, np.int32, np.bool_)


@st.composite
def briefs(draw: st.DrawFn) -> tuple[Spec, list[int], list[bool]]:
    spec = Spec(neurons=draw(st.sampled_from([8, 24, 32, 72])), output_bits=draw(st.integers(2, 16)))
    end = 2 ** (spec.output_bits - 1)
    codes = draw(st.lists(st.integers(-end, end - 1), min_size=spec.neurons, max_size=spec.neurons))
    return spec, codes, draw(st.lists(st.booleans(), min_size=spec.neurons, max_size=spec.neurons))


@given(case=briefs())
def test_a_result_in_brief_comes_apart_as_it_was_put_together(case: tuple[Spec, list[int], list[bool]]) -> None:
    spec, codes, flags = case
    width = 8 if spec.output_bits <= 8 else 16
    body = sum((code & (2**width - 1)) << (width * place) for place, code in enumerate(codes))
    words = [body >> (32 * place) & 0xFFFFFFFF for place in range(spec.neurons * width // 32)]
    together = sum(flag << place for place, flag in enumerate(flags))
    words += [together >> (32 * place) & 0xFFFFFFFF for place in range(-(-spec.neurons // 32))]
    header = ResultHeader.const({"operation": Operation.RESULT, "slot": 6, "brief": 1}).as_bits()
    packet = np.array([header, *words, 3, 2**32 - 1], np.uint32)
    assert len(packet) == result_words(spec, brief=True)
    result = parse_result(spec, packet)
    assert (result.slot, result.membrane, result.beats, result.spikes) == (6, None, 3, 2**32 - 1)
    assert (result.code.tolist(), result.saturated.tolist()) == (codes, flags)
    assert (result.code.dtype, result.saturated.dtype) == (np.int32, np.bool_)
    with pytest.raises(PacketError, match=f"result of {len(packet) - 1} words, expected {len(packet)}"):
        parse_result(spec, packet[:-1])


GOOD = result_packet(SMALL, [(0, 0, False)] * 8)


@pytest.mark.parametrize(
    ("packet", "message"),
    [
        (GOOD[:-1], "result of 18 words, expected 19"),
        (np.append(GOOD, GOOD[:1]), "result of 20 words, expected 19"),
        (GOOD[:0], "result of 0 words, expected 19"),
        (result_packet(SMALL, [(0, 0, False)] * 8, operation=Operation.RUN), "operation 4, expected 5"),
        (np.where(np.arange(19) == 0, 0, GOOD), "operation 0, expected 5"),
        (result_packet(SMALL, [(0, 0, False)] * 8, malformed=1), "the accelerator refused a packet"),
        (result_packet(SMALL, [(0, 0, False)] * 8, corrupted=1), "weights with a wrong parity"),
    ],
)
def test_a_broken_result_is_refused(packet: Words, message: str) -> None:
    with pytest.raises(PacketError, match=message):
        parse_result(SMALL, packet.astype(np.uint32))
