"""The layouts that hardware, bench and host share: where each field lies, and that every spec fits them."""

import pytest
from amaranth.lib import data
from hypothesis import given
from hypothesis import strategies as st

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.packet_sizes import CODE_BITS, CODES_PER_WORD, WORDS_PER_RESULT, WORDS_PER_RESULT_HEADER
from spikequant.rtl.shapes import (
    HEADER_WORDS,
    Behind,
    Code,
    CodesHeader,
    Half,
    NeuronsHeader,
    Operation,
    PacketWord,
    Result,
    ResultHeader,
    RunHeader,
    WeightsHeader,
    beat_layout,
    bits_for_index,
    code_layout,
    codes_layout,
    cycle_layout,
    idle_place,
    membrane_layout,
    parameters_layout,
    phase_layout,
    ready_layout,
    run_layout,
    score_address_bits,
    size_of,
)


def places(layout: type[data.Struct]) -> dict[str, tuple[int, int]]:
    """Offset and width of each field."""
    return {name: (field.offset, field.width) for name, field in data.Layout.cast(layout)}


def test_packets_on_the_wire() -> None:
    assert places(WeightsHeader) == {"operation": (0, 4), "reserved": (4, 12), "input": (16, 16)}
    assert places(NeuronsHeader) == {"operation": (0, 4), "reserved": (4, 12), "neuron": (16, 16)}
    assert places(CodesHeader) == {
        "operation": (0, 4),
        "buffer": (4, 1),
        "merged": (5, 1),
        "reserved": (6, 2),
        "shift": (8, 4),
        "reserved_high": (12, 4),
        "address": (16, 16),
        "zero": (32, 8),
        "offset": (40, 8),
        "reserved_top": (48, 16),
    }
    assert places(RunHeader) == {
        "operation": (0, 4),
        "first": (4, 1),
        "last": (5, 1),
        "half": (6, 2),
        "shift": (8, 4),
        "buffer": (12, 1),
        "brief": (13, 1),
        "reserved": (14, 2),
        "slot": (16, 8),
        "reserved_high": (24, 8),
        "address": (32, 16),
        "input": (48, 16),
    }
    assert places(ResultHeader) == {
        "operation": (0, 4),
        "malformed": (4, 1),
        "brief": (5, 1),
        "corrupted": (6, 1),
        "reserved": (7, 9),
        "slot": (16, 8),
        "reserved_high": (24, 8),
    }
    assert places(Result) == {"membrane": (0, 40), "code": (40, 16), "reserved": (56, 7), "saturated": (63, 1)}
    assert places(Code) == {"value": (0, 7), "salient": (7, 1)}
    assert [operation.value for operation in Operation] == [1, 2, 3, 4, 5]
    assert [half.value for half in Half] == [0, 1, 2]


@pytest.mark.parametrize(
    ("operation", "layout"),
    [
        (Operation.WEIGHTS, WeightsHeader),
        (Operation.NEURONS, NeuronsHeader),
        (Operation.CODES, CodesHeader),
        (Operation.RUN, RunHeader),
        (Operation.RESULT, ResultHeader),
    ],
)
def test_headers_fill_whole_words_and_open_with_the_operation(operation: Operation, layout: type[data.Struct]) -> None:
    assert size_of(layout) == WORD_BITS * HEADER_WORDS[operation]
    assert layout.const({"operation": operation}).as_bits() == operation.value


def test_signed_fields_keep_their_sign() -> None:
    assert CodesHeader.from_bits(CodesHeader.const({"offset": -31}).as_bits()).offset == -31
    result = Result.from_bits(Result.const({"membrane": -(2**39), "code": -(2**15)}).as_bits())
    assert (result.membrane, result.code) == (-(2**39), -(2**15))


@given(count=st.integers(1, 2**17))
def test_an_index_fits_its_bits(count: int) -> None:
    bits = bits_for_index(count)
    assert count - 1 < 2**bits
    assert bits == 1 or count - 1 >= 2 ** (bits - 1)


@st.composite
def extreme_specs(draw: st.DrawFn) -> Spec:
    """Every parameter at one of its ends."""
    lanes = draw(st.sampled_from([1, 16]))
    activation_bits = draw(st.sampled_from([2, 7]))
    return Spec(
        neurons=draw(st.sampled_from([16, 4096])),
        lanes=lanes,
        depth=draw(st.sampled_from([2 * lanes, 65536])),
        weight_bits=draw(st.sampled_from([2, 8])),
        activation_bits=activation_bits,
        salient_bits=draw(st.sampled_from([0, 7])),
        max_salient_shift=draw(st.sampled_from([0, 15])),
        membrane_bits=draw(st.sampled_from([8, 39])),
        membrane_slots=draw(st.sampled_from([1, 256])),
        theta_fraction_bits=draw(st.sampled_from([0, 24])),
        output_bits=draw(st.sampled_from([2, 16])),
        ramp=draw(st.sampled_from([4, 16])),
        score_words=draw(st.sampled_from([128, 8192])),
    )


@given(spec=extreme_specs())
def test_the_packets_hold_every_spec(spec: Spec) -> None:
    run = {name: width for name, (_, width) in places(RunHeader).items()}
    codes = {name: width for name, (_, width) in places(CodesHeader).items()}
    assert spec.max_salient_shift < 2 ** min(run["shift"], codes["shift"])
    assert spec.membrane_slots <= 2 ** run["slot"]
    assert spec.depth - 1 < 2 ** run["input"]
    assert spec.score_words - 1 < 2 ** min(run["address"], codes["address"])
    assert spec.max_activation_code < 2 ** codes["zero"]
    assert spec.max_salient_code <= 2 ** (codes["offset"] - 1)
    assert spec.neurons - 1 < 2 ** places(NeuronsHeader)["neuron"][1]
    assert spec.max_level < 2 ** places(Code)["value"][1]
    assert spec.biased_bits <= places(Result)["membrane"][1]
    assert spec.output_bits <= places(Result)["code"][1]
    assert Code.as_shape().size == CODE_BITS
    assert CODE_BITS * CODES_PER_WORD == WORD_BITS
    assert Result.as_shape().size == WORDS_PER_RESULT * WORD_BITS
    assert HEADER_WORDS[Operation.RESULT] == WORDS_PER_RESULT_HEADER


def fields(layout: data.StructLayout) -> dict[str, int]:
    return {name: field.width for name, field in layout}


@given(spec=extreme_specs())
def test_the_payloads_hold_every_spec(spec: Spec) -> None:
    phase, run = fields(phase_layout(spec)), fields(run_layout(spec))
    assert spec.max_shift < 2 ** phase["shift"]
    assert spec.membrane_slots <= 2 ** min(phase["slot"], run["slot"])
    assert spec.max_salient_shift < 2 ** run["shift"]
    assert spec.depth // spec.pairs <= spec.memory_rows - 1 < 2 ** run["first_row"]
    assert 2 * spec.score_words <= 2 ** run["address"] == 2 ** score_address_bits(spec)
    assert fields(membrane_layout(spec))["value"] == spec.kept_bits
    assert fields(parameters_layout(spec))["zero"] == spec.weight_bits
    for layout in (ready_layout(spec), code_layout(spec)):
        assert fields(layout)["membrane"] == spec.biased_bits
    assert fields(code_layout(spec))["code"] == spec.output_bits


@given(spec=extreme_specs())
def test_beats_and_cycles_hold_every_lane_and_row(spec: Spec) -> None:
    cycle, beat = fields(cycle_layout(spec)), fields(beat_layout(spec))
    assert cycle["fire"] == cycle["sign"] == spec.lanes
    assert cycle["row"] == spec.lanes * bits_for_index(spec.memory_rows)
    # every place of a pair's inputs, and none of them means no spike
    assert spec.pairs * spec.pair_rows == spec.depth
    assert spec.pair_rows - 1 < idle_place(spec) == 2 ** bits_for_index(spec.memory_rows) - 1
    assert beat["spikes"] == spec.lanes * (bits_for_index(spec.memory_rows) + 1)
    assert spec.ramp < 2 ** beat["ticks"]
    assert beat["behind"] == 2
    assert [behind.value for behind in Behind] == [0, 1, 2, 3]


def test_stream_words() -> None:
    assert size_of(PacketWord) == WORD_BITS + 1
    assert size_of(codes_layout()) == size_of(CodesHeader) + WORD_BITS + 1
