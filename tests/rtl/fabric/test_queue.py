"""Queues against a plain list."""

from collections.abc import Callable
from random import Random
from typing import Any

import pytest

from spikequant.rtl.fabric.queue import BlockQueue, RegisterStage, StreamQueue

PAYLOADS = [(37 * index) % 251 for index in range(200)]


@pytest.mark.parametrize("depth", [1, 2, 5, 16])
@pytest.mark.parametrize("stall", [0.0, 0.5, {"i": 0.8}, {"o": 0.8}])
def test_a_stream_comes_out_as_it_went_in(run_streams: Callable[..., Any], depth: int, stall: Any) -> None:
    run = run_streams(
        StreamQueue(8, depth=depth),
        {"i": PAYLOADS},
        ["o"],
        until=lambda run: len(run.received["o"]) >= len(PAYLOADS),
        watch=["level"],
        stall=stall,
        seed=depth,
    )
    assert run.payloads("o") == PAYLOADS
    for cycle in range(run.cycles):
        entered, left = (
            sum(transfer.cycle < cycle for transfer in side) for side in (run.sent["i"], run.received["o"])
        )
        assert run.watched["level"][cycle] == entered - left
    assert max(run.watched["level"]) <= depth


@pytest.mark.parametrize("depth", [1, 4])
def test_a_queue_fills_up_to_its_depth(run_streams: Callable[..., Any], depth: int) -> None:
    run = run_streams(
        StreamQueue(8, depth=depth),
        {"i": PAYLOADS[:9]},
        ["o"],
        until=lambda run: run.cycles >= 100,
        stall={"o": 1.0},
    )
    assert [word.cycle for word in run.sent["i"]] == list(range(depth))
    assert run.received["o"] == []


@pytest.mark.parametrize("depth", [4, 16, 64])
@pytest.mark.parametrize(("pushes", "takes"), [(1.0, 1.0), (0.5, 0.5), (0.9, 0.2), (0.2, 0.9), (0.7, 0.0)])
@pytest.mark.parametrize("distributed", [False, True])
def test_block_ram_keeps_the_order(
    simulate: Callable[..., None], depth: int, pushes: float, takes: float, distributed: bool
) -> None:
    queue = BlockQueue(8, depth=depth, distributed=distributed)
    random = Random(f"{depth} {pushes} {takes}")
    taken: list[int] = []
    sent = 0

    async def testbench(ctx: Any) -> None:
        nonlocal sent
        offered = None
        leftover = 60
        while leftover:
            push = sent < len(PAYLOADS) and sent - len(taken) < depth - 1 and random.random() < pushes
            # one that takes nothing waits until the queue is full
            ready = random.random() < takes or (
                takes == 0.0 and (sent - len(taken) == depth - 1 or sent == len(PAYLOADS))
            )
            ctx.set(queue.i.valid, push)
            ctx.set(queue.i.value, PAYLOADS[sent] if push else 255)
            ctx.set(queue.o.ready, ready)
            _, _, valid, payload, empty, stored = await ctx.tick().sample(
                queue.o.valid, queue.o.payload, queue.empty, queue.stored
            )
            assert offered is None or (valid, payload) == (1, offered)
            assert empty == (sent == len(taken))
            assert stored < depth
            offered = payload if valid and not ready else None
            sent += push
            if valid and ready:
                taken.append(payload)
            leftover = leftover - 1 if len(taken) == len(PAYLOADS) else 60

    simulate(queue, testbench, limit=20_000)
    assert taken == PAYLOADS


def test_block_ram_holds_one_less_than_its_depth_and_gives_a_payload_a_cycle(simulate: Callable[..., None]) -> None:
    queue = BlockQueue(8, depth=16)
    seen = []

    async def testbench(ctx: Any) -> None:
        ctx.set(queue.i.valid, 1)
        for payload in PAYLOADS[:15]:
            ctx.set(queue.i.value, payload)
            await ctx.tick()
        ctx.set(queue.i.valid, 0)
        # two of them wait outside the memory
        await ctx.tick().repeat(10)
        assert ctx.get(queue.stored) == 13
        ctx.set(queue.o.ready, 1)
        for _ in range(15):
            _, _, valid, payload = await ctx.tick().sample(queue.o.valid, queue.o.payload)
            seen.extend([payload] * valid)

    simulate(queue, testbench)
    assert seen == PAYLOADS[:15]


def test_block_ram_gives_what_has_just_come_in(simulate: Callable[..., None]) -> None:
    queue = BlockQueue(8, depth=16)
    seen = []

    async def testbench(ctx: Any) -> None:
        ctx.set(queue.o.ready, 1)
        for cycle in range(40):
            ctx.set(queue.i.valid, cycle < 30)
            ctx.set(queue.i.value, PAYLOADS[cycle])
            _, _, valid, payload = await ctx.tick().sample(queue.o.valid, queue.o.payload)
            if valid:
                seen.append((cycle, payload))

    simulate(queue, testbench)
    assert seen == [(cycle + 3, payload) for cycle, payload in enumerate(PAYLOADS[:30])]


@pytest.mark.parametrize("stall", [0.0, 0.5, {"i": 0.8}, {"o": 0.8}])
def test_a_register_stage_keeps_the_order(run_streams: Callable[..., Any], stall: Any) -> None:
    run = run_streams(
        RegisterStage(8),
        {"i": PAYLOADS},
        ["o"],
        until=lambda run: len(run.received["o"]) >= len(PAYLOADS),
        stall=stall,
        seed=1,
    )
    assert run.payloads("o") == PAYLOADS
    if stall == 0.0:
        assert [transfer.cycle for transfer in run.received["o"]] == list(range(1, len(PAYLOADS) + 1))


def test_a_register_stage_answers_from_registers_alone(simulate: Callable[..., None]) -> None:
    stage = RegisterStage(8)
    taken = []

    async def testbench(ctx: Any) -> None:
        ctx.set(stage.i.valid, 1)
        for cycle in range(4):
            ctx.set(stage.i.payload, cycle)
            before = ctx.get(stage.i.ready)
            for ready in (1, 0):
                ctx.set(stage.o.ready, ready)
                assert ctx.get(stage.i.ready) == before
            taken.append(before)
            await ctx.tick()

    simulate(stage, testbench)
    assert taken == [1, 1, 0, 0]
