"""The neurons' membranes against sums in plain integers, over phases, slots and tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.neurons.neuron import WRITE_AFTER_READ, Neurons


@dataclass(frozen=True)
class Constants:
    """One neuron's."""

    zero: int


@dataclass(frozen=True)
class Charged:
    """A phase with the charges that the array gathers in it.

    ``levels`` are the inputs' levels; ``codes`` their stored weights, by neuron.
    """

    slot: int
    first: bool
    last: bool
    levels: list[int]
    codes: list[list[int]]
    shift: int = 0
    low: bool = False
    brief: bool = False

    def charge(self, spec: Spec, neuron: int) -> int:
        codes = self.codes[neuron]
        return sum((code - spec.weight_offset) * level for code, level in zip(codes, self.levels, strict=True))

    def addend(self, neuron: int, zero: int) -> int:
        """What the phase adds to V."""
        codes = self.codes[neuron]
        weights = [code - (0 if self.low else zero) for code in codes]
        return sum(weight * level for weight, level in zip(weights, self.levels, strict=True)) << self.shift


@dataclass(frozen=True)
class Complete:
    """A membrane that came out, and its marks."""

    cycle: int
    value: int
    saturated: int
    brief: int


@dataclass
class Run:
    """What came out, the cycles in which charges went in, and those in which a phase was done."""

    complete: list[Complete] = field(default_factory=list)
    charged: list[int] = field(default_factory=list)
    done: list[int] = field(default_factory=list)


@pytest.fixture(scope="session")
def rtl_phases(simulate: Callable[..., None]) -> Callable[..., Run]:
    """Constants in, then phases, one right behind the other but for pauses."""

    def run(
        spec: Spec, constants: Sequence[Constants], phases: Sequence[Charged], *, stall: float = 0.0, seed: int = 0
    ) -> Run:
        neurons = Neurons(spec)
        out = Run()
        random = Random(seed)
        modulus = 2**spec.charge_bits
        now = 0

        async def testbench(ctx: Any) -> None:
            ctx.set(neurons.write.enable, 1)
            for neuron, values in enumerate(constants):
                ctx.set(neurons.write.data, {"neuron": neuron, "parameters": {"zero": values.zero}})
                await ctx.tick()
            ctx.set(neurons.write.enable, 0)

            async def step(charged: dict[str, Any] | None = None) -> None:
                nonlocal now
                # noise where nothing comes in
                noise = {"charge": random.randrange(modulus), "phase": {"first": 1, "last": 1}}
                ctx.set(neurons.i.valid, charged is not None)
                ctx.set(neurons.i.value, noise if charged is None else charged)
                _, _, valid, complete, done = await ctx.tick().sample(neurons.o.valid, neurons.o.value, neurons.done)
                if charged is not None:
                    out.charged.append(now)
                if valid:
                    out.complete.append(Complete(now, complete.value, complete.saturated, complete.brief))
                if done:
                    out.done.append(now)
                now += 1

            for phase in phases:
                fields = {name: getattr(phase, name) for name in ("slot", "first", "last", "shift", "low", "brief")}
                # the offset is any number, and equal for all neurons
                offset = random.randrange(modulus)
                reference = [offset, (offset + sum(phase.levels)) % modulus]
                for neuron in range(spec.neurons):
                    while random.random() < stall:
                        await step()
                    charge = (phase.charge(spec, neuron) + offset) % modulus
                    await step({"charge": charge, "reference": reference, "phase": fields})
            for _ in range(Neurons.latency(spec) + 20):
                await step()

        simulate(neurons, testbench)
        return out

    return run


def check(spec: Spec, constants: Sequence[Constants], phases: Sequence[Charged], run: Run) -> int:
    """Hold what came out against exact sums; the number of flags, each of which must have its reason."""
    sums: dict[tuple[int, int], int] = {}
    strayed: dict[tuple[int, int], bool] = {}
    complete = iter(run.complete)
    end = 2 ** (spec.membrane_bits - 1)
    flags = 0
    for phase in phases:
        for neuron, own in enumerate(constants):
            place = (phase.slot, neuron)
            total = (0 if phase.first else sums[place]) + phase.addend(neuron, own.zero)
            sums[place] = total
            beyond = not -(2 ** (spec.kept_bits - 1)) <= total < 2 ** (spec.kept_bits - 1)
            strayed[place] = beyond or (not phase.first and strayed[place])
            if phase.last:
                result = next(complete)
                assert result.brief == phase.brief
                outside = not -end <= total < end
                assert result.saturated == (strayed[place] or outside)
                flags += result.saturated
                if not result.saturated:
                    assert result.value == total
    assert next(complete, None) is None
    return flags


@st.composite
def cases(draw: st.DrawFn) -> tuple[Spec, list[Constants], list[Charged]]:
    weight_bits = draw(st.sampled_from([2, 4, 8]))
    salient_bits = draw(st.sampled_from([0, 4, 7]))
    spec = Spec(
        neurons=16 if weight_bits == 2 else draw(st.sampled_from([8, 24])),
        lanes=1,
        depth=draw(st.integers(2, 20)),
        weight_bits=weight_bits,
        salient_bits=salient_bits,
        max_salient_shift=draw(st.integers(0, 15)),
        membrane_bits=draw(st.integers(8, 39)),
        membrane_slots=draw(st.sampled_from([1, 2, 3, 5])),
    )
    random = Random(draw(st.integers(0, 2**32)))
    weight = spec.max_weight_code
    constants = [
        Constants(zero=random.choice((0, weight, spec.weight_offset, random.randint(0, weight))))
        for _ in range(spec.neurons)
    ]
    phases = []
    open_slots: set[int] = set()
    for _ in range(draw(st.integers(1, 10))):
        slot = random.randrange(spec.membrane_slots)
        extreme = random.random() < 0.3
        inputs = spec.depth if extreme else random.randint(0, spec.depth)
        sign = random.choice((-1, 1))
        levels = [
            sign * spec.max_level if extreme else random.randint(-spec.max_level, spec.max_level) for _ in range(inputs)
        ]
        codes = [
            [random.choice((0, weight)) if extreme else random.randint(0, weight) for _ in levels] for _ in constants
        ]
        first = slot not in open_slots or random.random() < 0.3
        last = random.random() < 0.5
        shift = random.choice((0, 0, spec.max_shift, random.randint(0, spec.max_shift)))
        low, brief = random.random() < 0.3, random.random() < 0.5
        phases.append(Charged(slot, first, last, levels, codes, shift, low=low, brief=brief))
        open_slots = open_slots - {slot} if last else open_slots | {slot}
    return spec, constants, phases


@settings(max_examples=30)
@given(case=cases(), stall=st.sampled_from([0.0, 0.0, 0.5]), seed=st.integers(0, 999))
def test_membranes_of_any_phases(
    rtl_phases: Callable[..., Run], case: tuple[Spec, list[Constants], list[Charged]], stall: float, seed: int
) -> None:
    spec, constants, phases = case
    check(spec, constants, phases, rtl_phases(spec, constants, phases, stall=stall, seed=seed))


SMALL = Spec(neurons=8, lanes=1, depth=64, membrane_bits=8, max_salient_shift=3, membrane_slots=2)
PLAIN = [Constants(zero=8)] * 8


def unit_phase(charge: int, **others: Any) -> Charged:
    """A phase that brings every neuron ``charge``, with weights of one."""
    step = 31 if charge > 0 else -31
    levels = [step] * (charge // step) + [charge - charge // step * step]
    fields = {"slot": 0, "first": True, "last": True} | others
    return Charged(levels=levels, codes=[[9] * len(levels)] * 8, **fields)


@pytest.mark.parametrize(("total", "flag"), [(127, 0), (128, 1), (-128, 0), (-129, 1), (0, 0)])
def test_flags_at_the_exact_ends(rtl_phases: Callable[..., Run], total: int, flag: int) -> None:
    run = rtl_phases(SMALL, PLAIN, [unit_phase(total)])
    assert [result.saturated for result in run.complete] == [flag] * 8
    if flag:
        # the sign is all that a flagged value says
        assert [result.value < 0 for result in run.complete] == [total < 0] * 8
    else:
        assert [result.value for result in run.complete] == [total] * 8


def test_a_sum_may_leave_the_range_and_come_back(rtl_phases: Callable[..., Run]) -> None:
    # as a wide weight does between its high and its low half
    there_and_back = [unit_phase(-120, last=False, shift=4), unit_phase(1800, first=False)]
    run = rtl_phases(SMALL, PLAIN, there_and_back)
    assert [(result.value, result.saturated) for result in run.complete] == [(-120, 0)] * 8


def test_a_flag_lasts_until_the_membrane_starts_again(rtl_phases: Callable[..., Run]) -> None:
    # the kept bits reach to 4095: beyond them a sum is lost, even if it comes back
    lost = [unit_phase(512, last=False, shift=3), unit_phase(-512, first=False, last=False, shift=3)]
    phases = [*lost, unit_phase(0, first=False), unit_phase(5), *lost, unit_phase(7)]
    run = rtl_phases(SMALL, PLAIN, phases)
    assert check(SMALL, PLAIN, phases, run) == 8
    assert [result.saturated for result in run.complete[::8]] == [1, 0, 0]


def test_slots_keep_their_own_membranes(rtl_phases: Callable[..., Run]) -> None:
    phases = [
        unit_phase(1, slot=0, last=False),
        unit_phase(20, slot=1, last=False),
        unit_phase(3, slot=0, first=False),
        unit_phase(50, slot=1, first=False),
    ]
    run = rtl_phases(SMALL, PLAIN, phases)
    assert [result.value for result in run.complete[::8]] == [4, 70]


@pytest.mark.parametrize("weight_bits", [2, 4, 8])
def test_a_membrane_a_cycle_from_phase_to_phase(rtl_phases: Callable[..., Run], weight_bits: int) -> None:
    for neurons in (16, 48):
        spec = SMALL.model_copy(update={"neurons": neurons, "weight_bits": weight_bits})
        phase = Charged(slot=0, first=True, last=True, levels=[1], codes=[[1]] * neurons)
        run = rtl_phases(spec, [Constants(zero=0)] * neurons, [phase] * 3)
        assert run.charged == list(range(3 * neurons))
        assert [result.cycle for result in run.complete] == [cycle + Neurons.latency(spec) for cycle in run.charged]
        assert run.done == [cycle + Neurons.latency(spec) + 1 for cycle in run.charged[neurons - 1 :: neurons]]


def test_a_membrane_is_read_behind_its_writing_in_the_shortest_phase(rtl_phases: Callable[..., Run]) -> None:
    # the fewest neurons, one phase right behind the other on the same slot
    assert SMALL.neurons > WRITE_AFTER_READ
    phases = [unit_phase(number, first=number == 1, last=number == 9) for number in range(1, 10)]
    run = rtl_phases(SMALL, PLAIN, phases)
    assert [result.value for result in run.complete] == [45] * 8
