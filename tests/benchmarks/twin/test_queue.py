"""A queue whose offer comes from a register, against a list."""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from spikequant.benchmarks.twin.queue import RowQueue

DEPTH = 4


@pytest.mark.parametrize(("comes", "taken"), [(0.3, 0.8), (0.9, 0.4), (0.9, 0.9)])
def test_payloads_come_out_in_order_a_cycle_later(simulate: Callable[..., None], comes: float, taken: float) -> None:
    dut = RowQueue(8, depth=DEPTH)
    random = Random(comes)
    waiting: deque[int] = deque()
    fullest = 0

    async def testbench(ctx: Any) -> None:
        nonlocal fullest
        for cycle in range(400):
            put = random.random() < comes and len(waiting) < DEPTH
            ctx.set(dut.i.valid, put)
            ctx.set(dut.i.value, cycle % 256)
            ctx.set(dut.o.ready, random.random() < taken)
            _, _, valid, ready, payload = await ctx.tick().sample(dut.o.valid, dut.o.ready, dut.o.payload)
            assert valid == bool(waiting)
            assert not valid or payload == waiting[0]
            if valid and ready:
                waiting.popleft()
            if put:
                waiting.append(cycle % 256)
            fullest = max(fullest, len(waiting))

    simulate(dut, testbench)
    assert fullest == DEPTH or comes < taken
