from fractions import Fraction
from math import exp

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from spikequant.golden.block.gate import TAIL_END, GateConstants, gate_constants, gate_times_up, tail
from spikequant.golden.block.results import Results
from spikequant.golden.block.settings import BlockWidths
from spikequant.golden.support.errors import InputError

FINEST = BlockWidths(gate_index_bits=10, scale_bits=17, ratio_bits=25, ratio_fraction=10)


def units() -> st.SearchStrategy[float]:
    """Units of layers of real models, and some beyond."""
    return st.builds(lambda power, quarter: 2.0 ** (power + quarter / 4), st.integers(-9, -3), st.integers(0, 3))


def exact(gate: Tensor, up: Tensor) -> Tensor:
    return torch.nn.functional.silu(gate) * up


def bound(gate: Tensor, up: Tensor, step: float, unit: float, constants: GateConstants, widths: BlockWidths) -> Tensor:
    """Bound of the error in steps: of the address, the table's end, all roundings, and the constant."""
    value = unit * 2.0**-constants.fraction
    address = unit * 2.0**constants.address_shift / 2 * 0.5 if constants.address_shift else 0.0
    end = float(tail(Fraction(TAIL_END)))
    relative = torch.nn.functional.silu(gate).abs() * 2.0**-widths.scale_bits
    return (1.5 * value + max(address, end) + relative) * up.abs() / step + 2.0**-widths.ratio_fraction


@pytest.mark.parametrize("widths", [BlockWidths(), FINEST, BlockWidths(gate_bits=10, gate_index_bits=5, scale_bits=6)])
@settings(max_examples=30)
@given(gate_unit=units(), up_unit=units(), seed=st.integers(0, 2**32 - 1), bits=st.sampled_from([8, 10]))
def test_ratios_are_within_their_bound_of_silu(
    widths: BlockWidths, gate_unit: float, up_unit: float, seed: int, bits: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    most = 2 ** (bits - 1) - 1
    step = 0.05
    gates, ups = (Results(bits, torch.randint(0, 4, (64,), generator=generator), u) for u in (gate_unit, up_unit))
    codes = torch.randint(-most, most + 1, (2, 3, 64), generator=generator)
    codes[:, 0, :3] = torch.tensor([-most, 0, most])
    constants = gate_constants(gates, ups, step, widths)
    found, flags = gate_times_up(codes[0], codes[1], constants, widths)
    gate, up = ((code << each.exponents).double() * each.unit for code, each in zip(codes, (gates, ups), strict=True))
    expected = exact(gate, up) / step
    inside = ~flags
    error = (found.double() / 2**widths.ratio_fraction - expected).abs()
    assert error[inside].le(bound(gate, up, step, gate_unit, constants, widths)[inside]).all()
    limit = 2.0 ** (widths.ratio_bits - 1 - widths.ratio_fraction)
    assert expected[flags].abs().ge(limit * 0.9).all()
    assert not flags[expected.abs() < limit * 0.9].any()


def test_saturated_products_are_flagged_and_clipped() -> None:
    widths = BlockWidths(ratio_bits=12, ratio_fraction=4)
    each = Results(8, torch.tensor([0, 0, 0]), 0.5)
    constants = gate_constants(each, each, 0.5, widths)
    found, flags = gate_times_up(torch.tensor([127, 127, 2]), torch.tensor([127, -127, 2]), constants, widths)
    assert found[:2].tolist() == [2047, -2048]
    assert flags.tolist() == [True, True, False]
    assert found[2] / 16 == pytest.approx(1 / (1 + exp(-1)) / 0.5, rel=0.05)


@pytest.mark.parametrize("exponent", [0, 8, 15])
def test_the_widest_results_stay_within_the_multipliers(exponent: int) -> None:
    widths = BlockWidths()
    each = Results(8, torch.tensor([exponent]), 2.0**-6)
    constants = gate_constants(each, each, 0.05, widths)
    largest = torch.tensor([127]) << exponent
    value = largest.double() * 2.0**constants.fraction
    assert value < 2 ** (widths.gate_bits - 1)
    assert constants.scale < 2**widths.scale_bits
    assert constants.table.max() < 2 ** (widths.gate_bits - 1)
    _, flags = gate_times_up(torch.tensor([[0], [-127]]), torch.tensor([[127], [127]]), constants, widths)
    assert not flags.any()


def test_a_gate_of_zero_gives_zero_and_a_closed_one_almost() -> None:
    each = Results(8, torch.tensor([0, 3]), 2.0**-5)
    constants = gate_constants(each, each, 0.02, BlockWidths())
    found, _ = gate_times_up(torch.tensor([[0, 0], [-127, -127]]), torch.tensor([127, -127]), constants, BlockWidths())
    assert found[0].tolist() == [0, 0]
    # silu(-3.97) is -0.074 times 3.97, and silu(-31.75) is nothing
    assert found[1, 0] / 16 == pytest.approx(-0.0736 * 3.97 / 0.02, rel=0.03)
    assert abs(int(found[1, 1])) <= 1


def test_the_tail_is_what_relu_has_more_than_silu() -> None:
    for x in (0.0, 0.03, 1.0, 1.2784645, 5.5, 20.0):
        silu = x / (1 + exp(-x))
        assert float(tail(Fraction(x))) == pytest.approx(x - silu, abs=1e-14)
        assert float(tail(Fraction(x))) == pytest.approx(x / (1 + exp(x)), rel=1e-12)


def test_table_entries_are_the_nearest() -> None:
    each = Results(8, torch.tensor([0, 3]), 2.0**-7)
    constants = gate_constants(each, each, 0.02, BlockWidths(gate_index_bits=8))
    assert constants.address_shift == 2
    assert constants.fraction == 7
    for index in (0, 1, 100, 255):
        x = index * 4 / 128
        assert abs(int(constants.table[index]) - x / (1 + exp(x)) * 128 * 128) <= 0.5 + 1e-9


def test_units_far_beyond_the_step_are_refused() -> None:
    each = Results(8, torch.tensor([0]), 2.0**20)
    with pytest.raises(InputError, match="gate times up"):
        gate_constants(each, each, 1e-3, BlockWidths())
