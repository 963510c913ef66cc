"""Charges that come in several a cycle and leave one by one."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from spikequant.golden.layer.spec import GATHERED, Spec
from spikequant.rtl.charge_buffer import PHASES, ChargeBuffer

NEURONS = [8, 12, 24, 64]


def spec_of(neurons: int) -> Spec:
    return Spec(neurons=neurons, lanes=2, depth=64, weight_bits=8 if neurons == 12 else 4)


@pytest.mark.parametrize("neurons", NEURONS)
@pytest.mark.parametrize("distributed", [False, True])
@pytest.mark.parametrize("least_pause", [0, 200])
def test_all_charges_in_order(simulate: Callable[..., None], neurons: int, distributed: bool, least_pause: int) -> None:
    spec = spec_of(neurons)
    rows = neurons // GATHERED
    buffer = ChargeBuffer(spec, distributed=distributed)
    random = Random(neurons)
    phases = [[random.randrange(2**spec.charge_bits) for _ in range(neurons)] for _ in range(9)]
    starts: list[int] = []
    found: list[tuple[int, int, int, int, int]] = []

    async def testbench(ctx: Any) -> None:
        cycle, unread, last_read = 0, 0, 0

        async def step(payload: dict[str, Any] | None = None) -> None:
            nonlocal cycle, unread, last_read
            ctx.set(buffer.i.valid, payload is not None)
            if payload is not None:
                ctx.set(buffer.i.value, payload)
            _, _, valid, out, read = await ctx.tick().sample(buffer.o.valid, buffer.o.value, buffer.read)
            if valid:
                reference = (out.reference[0], out.reference[1])
                found.append((cycle, out.charge, out.phase.slot, *reference))
            unread -= read
            last_read = cycle if read else last_read
            cycle += 1
            assert unread >= 0

        for number, phase in enumerate(phases):
            earliest = starts[-1] + spec.drain_cycles if starts else 0
            pause = random.choice([least_pause, least_pause + neurons])
            while unread == PHASES or cycle < max(earliest + pause, last_read + ChargeBuffer.latency):
                await step()
            starts.append(cycle)
            unread += 1
            # what a phase has in common holds until the next one comes
            common = {"reference": [number, 100 + number], "exceeded": 0, "phase": {"slot": number % 8}}
            for row in range(rows):
                charges = [phase[part * rows + row] for part in range(GATHERED)]
                await step({"charges": charges} | common)
        for _ in range(2 * neurons + 20):
            await step()
        assert not unread

    simulate(buffer, testbench)
    expected = []
    free = 0
    for number, (start, phase) in enumerate(zip(starts, phases, strict=True)):
        first = max(free, start + ChargeBuffer.latency)
        expected += [(first + n, charge, number % 8, number, 100 + number) for n, charge in enumerate(phase)]
        free = first + neurons
    assert found == expected
