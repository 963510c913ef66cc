"""A group of multiply-accumulate neurons against plain sums of products."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from spikequant.benchmarks.twin.arithmetic import level_bits
from spikequant.benchmarks.twin.group import MacGroup
from spikequant.golden.layer.spec import Spec


@pytest.mark.parametrize(("lanes", "weight_bits", "salient_bits"), [(1, 8, 0), (2, 2, 7), (4, 4, 5), (8, 4, 5)])
def test_charges(simulate: Callable[..., None], lanes: int, weight_bits: int, salient_bits: int) -> None:
    spec = Spec(neurons=16, lanes=lanes, depth=64, weight_bits=weight_bits, salient_bits=salient_bits)
    count, bits = 3, level_bits(spec)
    dut = MacGroup(spec, count)
    random = Random(lanes)
    expected: list[list[int]] = []
    found: list[list[int]] = []
    charges = [0] * count

    async def testbench(ctx: Any) -> None:
        nonlocal charges
        finishes = []
        for cycle in range(120):
            double = random.random() < 0.1
            finish = random.random() < 0.1
            levels = [0 if double else random.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1)) for _ in range(lanes)]
            weights = [[random.randrange(2**weight_bits) for _ in range(count)] for _ in range(lanes)]
            offset = sum(level < 0 for level in levels) * spec.max_weight_code << (bits - 1)
            for neuron in range(count):
                products = sum(weights[lane][neuron] * levels[lane] for lane in range(lanes))
                charges[neuron] = (charges[neuron] * (1 + double) + products + offset) % 2**spec.charge_bits
            ctx.set(dut.weights, weights)
            ctx.set(dut.levels, [level % 2**bits for level in levels])
            ctx.set(dut.control, {"double": double, "finish": finish, "clear": finish})
            if finish:
                expected.append(charges)
                charges = [0] * count
                finishes.append(cycle)
            await ctx.tick()
            # finished charges stay, and each is gathered two cycles behind its selection
            if finishes and cycle == finishes[-1]:
                ctx.set(dut.levels, [0] * lanes)
                ctx.set(dut.control, {"double": 0, "finish": 0, "clear": 0})
                await ctx.tick().repeat(MacGroup.latency(spec) + 1)
                results = []
                for neuron in range(count):
                    ctx.set(dut.deselect, ~(1 << neuron) % 2**count)
                    await ctx.tick().repeat(2)
                    results.append(ctx.get(dut.gathered))
                found.append(results)

    simulate(dut, testbench)
    assert len(found) > 3
    assert found == expected
