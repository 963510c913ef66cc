"""Plans of sums, evaluated bit by bit against the products that they stand for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.benchmarks.twin.heap import HeapBit, Plan, ProductBit, plan_sums, total_bits


def evaluate(plan: Plan, weights: list[int], levels: list[int]) -> int:
    results: list[int] = []

    def value(bit: HeapBit | None) -> int:
        if bit is None:
            return 0
        if isinstance(bit, ProductBit):
            return (weights[bit.lane] >> bit.weight_bit ^ bit.inverted) & levels[bit.lane] >> bit.level_bit & 1
        return results[bit.place]

    for layer in plan.layers:
        following = []
        for each in layer.sums:
            total = sum((value(low) + value(high)) << place for place, (low, high) in enumerate(each.pairs))
            total += value(each.carry)
            width = len(each.pairs) + each.carry_out
            assert total < 2**width
            following += [total >> place & 1 for place in range(width)]
        results = following + [value(bit) for bit in layer.passed]
    return sum(results[place] << column for column, place in enumerate(plan.columns))


@given(data=st.data(), lanes=st.sampled_from([1, 2, 4, 8]), weight_bits=st.sampled_from([2, 4, 8]))
def test_a_plan_gives_the_sum_of_products_and_the_offset(data: st.DataObject, lanes: int, weight_bits: int) -> None:
    level_bits = data.draw(st.integers(3, 8))
    top = 2 ** (level_bits - 1)
    extreme = st.sampled_from([-top, top - 1])
    weights = [data.draw(st.integers(0, 2**weight_bits - 1)) for _ in range(lanes)]
    levels = [data.draw(st.integers(-top, top - 1) | extreme) for _ in range(lanes)]
    plan = plan_sums(lanes=lanes, weight_bits=weight_bits, level_bits=level_bits)
    offset = top * (2**weight_bits - 1) * sum(level < 0 for level in levels)
    expected = sum(weight * level for weight, level in zip(weights, levels, strict=True)) + offset
    assert evaluate(plan, weights, levels) == expected


@pytest.mark.parametrize("weight", [0, 15])
def test_the_largest_sum_fits(weight: int) -> None:
    plan = plan_sums(lanes=8, weight_bits=4, level_bits=5)
    assert len(plan.columns) == total_bits(lanes=8, weight_bits=4, level_bits=5) == 11
    assert evaluate(plan, [weight] * 8, [-16] * 8) == 8 * (weight * -16 + 240)


@pytest.mark.parametrize(("lanes", "tables"), [(4, 92), (8, 187)])
def test_a_lookup_table_takes_a_bit_off_the_heap(lanes: int, tables: int) -> None:
    plan = plan_sums(lanes=lanes, weight_bits=4, level_bits=5)
    widths = [len(each.pairs) + each.carry_out for layer in plan.layers for each in layer.sums]
    # of 20 bits a product, beside products that go through a table alone
    assert sum(widths) == tables < 1.2 * 20 * lanes
