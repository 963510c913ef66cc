"""The neurons' membranes against sums in plain integers, over phases, slots and tokens."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from golden.spec import Spec
from rtl.neuron import Neurons

REFERENCE_LEAD = 4
"""Cycles by which the reference is there before the first charge: those of the array with the fewest neurons."""


@dataclass(frozen=True)
class Constants:
    """One neuron's."""

    theta: int
    bias: int
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

    def charge(self, spec: Spec, neuron: int) -> int:
        codes = self.codes[neuron]
        return sum((code - spec.weight_offset) * level for code, level in zip(codes, self.levels, strict=True))

    def addend(self, neuron: int, zero: int) -> int:
        """What the phase adds to V."""
        codes = self.codes[neuron]
        weights = [code - (0 if self.low else zero) for code in codes]
        return sum(weight * level for weight, level in zip(weights, self.levels, strict=True)) << self.shift


@dataclass(frozen=True)
class Ready:
    """A membrane that came out: V', its theta, and its marks."""

    cycle: int
    membrane: int
    theta: int
    saturated: int
    slot: int
    final: int


@dataclass
class Run:
    """What came out, and the cycles in which charges went in."""

    ready: list[Ready] = field(default_factory=list)
    charged: list[int] = field(default_factory=list)


@dataclass
class Stand:
    """The neurons in simulation, with pauses on both sides of them."""

    ctx: Any
    neurons: Neurons
    spec: Spec
    random: Random
    stall: float
    hold: float
    out: Run
    cycle: int = 0
    paused: int = 0
    # how many membranes have come out since the hold began
    since_hold: int = 0

    async def write(self, constants: Sequence[Constants]) -> None:
        self.ctx.set(self.neurons.write_enable, 1)
        for neuron, values in enumerate(constants):
            self.ctx.set(self.neurons.write, {"neuron": neuron, "parameters": vars(values)})
            await self.ctx.tick()
        self.ctx.set(self.neurons.write_enable, 0)

    async def step(self, *, accept: int = 0, charge: int | None = None) -> tuple[int, bool]:
        """A cycle: whether the neurons are busy, and whether the charge was taken."""
        ctx, neurons = self.ctx, self.neurons
        if not self.paused:
            longer = self.random.choice((1, 2, 10))
            self.paused = longer if self.random.random() < self.hold else -longer
        holds = self.paused > 0
        self.paused += -1 if holds else 1
        offers = charge is not None and self.random.random() >= self.stall
        ctx.set(neurons.hold, holds)
        ctx.set(neurons.accept, accept)
        ctx.set(neurons.charges.valid, offers)
        # noise where nothing is offered
        ctx.set(neurons.charges.payload, charge if offers else self.random.randrange(2**self.spec.charge_bits))
        _, _, busy, taken, valid, ready = await ctx.tick().sample(
            neurons.busy, neurons.charges.ready, neurons.o_valid, neurons.o
        )
        assert not (taken and holds)
        self.since_hold = self.since_hold + valid if holds else 0
        assert self.since_hold <= Neurons.latency(self.spec)
        if offers and taken:
            self.out.charged.append(self.cycle)
        if valid:
            names = ("membrane", "theta", "saturated", "slot", "final")
            self.out.ready.append(Ready(self.cycle, *(getattr(ready, name) for name in names)))
        self.cycle += 1
        return busy, bool(offers and taken)

    async def run(self, phase: Charged) -> None:
        """A phase, until it is in the membranes."""
        fields = {name: getattr(phase, name) for name in ("slot", "first", "last", "shift", "low")}
        self.ctx.set(self.neurons.phase, fields)
        await self.step(accept=1)
        self.ctx.set(self.neurons.phase, {"slot": 0, "first": 1, "last": 1})
        for _ in range(self.random.choice((0, 1, 9))):
            assert (await self.step())[0]
        # the offset is any number, and equal for all neurons
        modulus = 2**self.spec.charge_bits
        offset = self.random.randrange(modulus)
        self.ctx.set(self.neurons.reference, [offset, (offset + sum(phase.levels)) % modulus])
        for _ in range(REFERENCE_LEAD):
            await self.step()
        for neuron in range(self.spec.neurons):
            taken = False
            while not taken:
                busy, taken = await self.step(charge=(phase.charge(self.spec, neuron) + offset) % modulus)
                assert busy
        while busy:
            busy, _ = await self.step()


@pytest.fixture(scope="session")
def rtl_phases(simulate: Callable[..., None]) -> Callable[..., Run]:
    """Constants in, then phases, each as soon as the one before it is in the membranes."""

    def run(
        spec: Spec,
        constants: Sequence[Constants],
        phases: Sequence[Charged],
        *,
        stall: float = 0.0,
        hold: float = 0.0,
        seed: int = 0,
    ) -> Run:
        neurons = Neurons(spec)
        out = Run()
        expected = sum(phase.last for phase in phases) * spec.neurons

        async def testbench(ctx: Any) -> None:
            stand = Stand(ctx, neurons, spec, Random(seed), stall, hold, out)
            await stand.write(constants)
            for phase in phases:
                await stand.run(phase)
            while len(out.ready) < expected:
                await stand.step()
            for _ in range(20):
                await stand.step()

        simulate(neurons, testbench)
        return out

    return run


def check(spec: Spec, constants: Sequence[Constants], phases: Sequence[Charged], run: Run) -> int:
    """Hold what came out against exact sums; the number of flags, each of which must have its reason."""
    sums: dict[tuple[int, int], int] = {}
    strayed: dict[tuple[int, int], bool] = {}
    ready = iter(run.ready)
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
                result = next(ready)
                assert (result.theta, result.slot) == (own.theta, phase.slot)
                assert result.final == (neuron == spec.neurons - 1)
                outside = not -end <= total < end
                assert result.saturated == (strayed[place] or outside)
                flags += result.saturated
                if not result.saturated:
                    assert result.membrane == total + own.bias
    assert next(ready, None) is None
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
        Constants(
            theta=random.choice((1, 2**32 - 1, random.randrange(2**32))),
            bias=random.choice((-(2**31), 2**31 - 1, random.randrange(-1000, 1000))),
            zero=random.choice((0, weight, spec.weight_offset, random.randint(0, weight))),
        )
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
        phases.append(Charged(slot, first, last, levels, codes, shift, low=random.random() < 0.3))
        open_slots = open_slots - {slot} if last else open_slots | {slot}
    return spec, constants, phases


@settings(max_examples=30)
@given(case=cases(), stall=st.sampled_from([0.0, 0.5]), hold=st.sampled_from([0.0, 0.5, 0.9]), seed=st.integers(0, 999))
def test_membranes_of_any_phases(
    rtl_phases: Callable[..., Run],
    case: tuple[Spec, list[Constants], list[Charged]],
    stall: float,
    hold: float,
    seed: int,
) -> None:
    spec, constants, phases = case
    check(spec, constants, phases, rtl_phases(spec, constants, phases, stall=stall, hold=hold, seed=seed))


SMALL = Spec(neurons=8, lanes=1, depth=64, membrane_bits=8, max_salient_shift=3, membrane_slots=2)
PLAIN = [Constants(theta=1, bias=0, zero=8)] * 8


def unit_phase(charge: int, **others: Any) -> Charged:
    """A phase that brings every neuron ``charge``, with weights of one."""
    step = 31 if charge > 0 else -31
    levels = [step] * (charge // step) + [charge - charge // step * step]
    fields = {"slot": 0, "first": True, "last": True} | others
    return Charged(levels=levels, codes=[[9] * len(levels)] * 8, **fields)


@pytest.mark.parametrize("bias", [0, 2**31 - 1, -(2**31)])
@pytest.mark.parametrize(("total", "flag"), [(127, 0), (128, 1), (-128, 0), (-129, 1), (0, 0)])
def test_flags_at_the_exact_ends(rtl_phases: Callable[..., Run], total: int, flag: int, bias: int) -> None:
    constants = [Constants(theta=1, bias=bias, zero=8)] * 8
    run = rtl_phases(SMALL, constants, [unit_phase(total)])
    assert [result.saturated for result in run.ready] == [flag] * 8
    nearest = max(-128, min(127, total))
    assert [result.membrane for result in run.ready] == [nearest + bias] * 8


def test_a_sum_may_leave_the_range_and_come_back(rtl_phases: Callable[..., Run]) -> None:
    # as a wide weight does between its high and its low half
    there_and_back = [unit_phase(-120, last=False, shift=4), unit_phase(1800, first=False)]
    run = rtl_phases(SMALL, PLAIN, there_and_back)
    assert [(result.membrane, result.saturated) for result in run.ready] == [(-120, 0)] * 8


def test_a_flag_lasts_until_the_membrane_starts_again(rtl_phases: Callable[..., Run]) -> None:
    # the kept bits reach to 4095: beyond them a sum is lost, even if it comes back
    lost = [unit_phase(512, last=False, shift=3), unit_phase(-512, first=False, last=False, shift=3)]
    phases = [*lost, unit_phase(0, first=False), unit_phase(5), *lost, unit_phase(7)]
    run = rtl_phases(SMALL, PLAIN, phases)
    assert check(SMALL, PLAIN, phases, run) == 8
    assert [result.saturated for result in run.ready[::8]] == [1, 0, 0]


def test_slots_keep_their_own_membranes(rtl_phases: Callable[..., Run]) -> None:
    phases = [
        unit_phase(1, slot=0, last=False),
        unit_phase(20, slot=1, last=False),
        unit_phase(3, slot=0, first=False),
        unit_phase(50, slot=1, first=False),
    ]
    run = rtl_phases(SMALL, PLAIN, phases)
    assert [(result.slot, result.membrane) for result in run.ready[::8]] == [(0, 4), (1, 70)]


@pytest.mark.parametrize("weight_bits", [2, 4, 8])
def test_a_membrane_a_cycle(rtl_phases: Callable[..., Run], weight_bits: int) -> None:
    for neurons in (16, 48):
        spec = SMALL.model_copy(update={"neurons": neurons, "weight_bits": weight_bits})
        phase = Charged(slot=0, first=True, last=True, levels=[1], codes=[[1]] * neurons)
        run = rtl_phases(spec, [Constants(theta=1, bias=0, zero=0)] * neurons, [phase])
        assert run.charged == list(range(run.charged[0], run.charged[0] + neurons))
        assert [result.cycle for result in run.ready] == [cycle + Neurons.latency(spec) for cycle in run.charged]
