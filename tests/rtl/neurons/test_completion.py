"""Membranes between neurons and read-out: order, biases, ends of the range, and the pace."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.neurons.completion import Completion
from spikequant.rtl.result_queue import waiting_rows

SMALL = Spec(neurons=24, membrane_bits=20)


@dataclass(frozen=True)
class Ready:
    """A membrane that left, and when."""

    cycle: int
    membrane: int
    theta: int
    saturated: int
    brief: int


@pytest.fixture(scope="session")
def rtl_complete(simulate: Callable[..., None]) -> Callable[..., tuple[list[Ready], list[int]]]:
    """Constants [(theta, bias)] in, then membranes (value, saturated, brief); what left, and when it was taken."""

    def run(
        spec: Spec,
        constants: list[tuple[int, int]],
        membranes: list[tuple[int, int, int]],
        *,
        stall: float = 0.0,
        hold: float = 0.0,
        seed: int = 0,
    ) -> tuple[list[Ready], list[int]]:
        completion = Completion(spec)
        random = Random(seed)
        ready: list[Ready] = []
        taken: list[int] = []

        async def testbench(ctx: Any) -> None:
            for neuron, (theta, bias) in enumerate(constants):
                ctx.set(completion.write.data, {"neuron": neuron, "parameters": {"theta": theta, "bias": bias}})
                ctx.set(completion.write.enable, 1)
                await ctx.tick()
                ctx.set(completion.write.enable, 0)
                # what is at the port in the other cycle is of no matter
                ctx.set(completion.write.data, {"neuron": random.randrange(spec.neurons), "parameters": {"theta": 77}})
                await ctx.tick()
            sent, left, cycle = 0, 20, 0
            while left:
                sends = sent < len(membranes) and random.random() >= stall
                ctx.set(completion.i.valid, sends)
                value, saturated, brief = membranes[sent] if sends else (5, 1, 1)
                ctx.set(completion.i.value, {"value": value, "saturated": saturated, "brief": brief})
                sent += sends
                ctx.set(completion.take, random.random() >= hold)
                _, _, takes, brief, valid, out = await ctx.tick().sample(
                    completion.taken, completion.brief, completion.o.valid, completion.o.value
                )
                if takes:
                    assert brief == membranes[len(taken)][2]
                    taken.append(cycle)
                if valid:
                    ready.append(Ready(cycle, out.membrane, out.theta, out.saturated, out.brief))
                cycle += 1
                left = left - 1 if len(ready) == len(membranes) else 20

        simulate(completion, testbench)
        return ready, taken

    return run


@st.composite
def cases(draw: st.DrawFn) -> tuple[Spec, list[tuple[int, int]], list[tuple[int, int, int]]]:
    spec = Spec(neurons=draw(st.sampled_from([8, 24])), membrane_bits=draw(st.integers(8, 39)))
    end = 2 ** (spec.membrane_bits - 1)
    thetas = st.sampled_from([1, 2**32 - 1]) | st.integers(0, 2**32 - 1)
    biases = st.sampled_from([0, 2**31 - 1, -(2**31)]) | st.integers(-(2**31), 2**31 - 1)
    count = spec.neurons
    constants = draw(st.lists(st.tuples(thetas, biases), min_size=count, max_size=count))
    values = st.sampled_from([0, -1, end - 1, -end]) | st.integers(-end, end - 1)
    flag = st.integers(0, 1)
    return spec, constants, draw(st.lists(st.tuples(values, flag, flag), min_size=2 * count, max_size=2 * count))


@settings(max_examples=25)
@given(case=cases(), stall=st.sampled_from([0.0, 0.6]), hold=st.sampled_from([0.0, 0.6]), seed=st.integers(0, 99))
def test_each_membrane_gets_its_neurons_constants(
    rtl_complete: Callable[..., Any], case: Any, stall: float, hold: float, seed: int
) -> None:
    spec, constants, membranes = case
    ready, taken = rtl_complete(spec, constants, membranes, stall=stall, hold=hold, seed=seed)
    end = 2 ** (spec.membrane_bits - 1)
    for number, (out, (value, saturated, brief)) in enumerate(zip(ready, membranes, strict=True)):
        theta, bias = constants[number % spec.neurons]
        nearest = (-end if value < 0 else end - 1) if saturated else value
        assert (out.membrane, out.theta, out.saturated, out.brief) == (nearest + bias, theta, saturated, brief)
    assert [out.cycle for out in ready] == [cycle + Completion.latency for cycle in taken]


def test_one_every_second_cycle(rtl_complete: Callable[..., Any]) -> None:
    membranes = [(number, 0, 0) for number in range(3 * SMALL.neurons)]
    _, taken = rtl_complete(SMALL, [(1, 0)] * SMALL.neurons, membranes)
    assert taken == list(range(taken[0], taken[0] + 2 * len(membranes), 2))


@pytest.mark.parametrize("neurons", [8, 256, 264, 512, 4096])
def test_two_phases_of_membranes_may_wait(neurons: int) -> None:
    rows = waiting_rows(Spec(neurons=neurons))
    assert rows - 1 >= neurons
    assert rows >= 2 * neurons
    assert rows & (rows - 1) == 0


def test_as_many_wait_as_there_are_rows_for(rtl_complete: Callable[..., Any]) -> None:
    count = waiting_rows(SMALL) - 1
    membranes = [(number, number % 2, number % 3 == 0) for number in range(count)]
    ready, _ = rtl_complete(SMALL, [(1, 0)] * SMALL.neurons, membranes, hold=0.9, seed=1)
    assert [(out.saturated, out.brief) for out in ready] == [(saturated, brief) for _, saturated, brief in membranes]
