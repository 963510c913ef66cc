"""Properties of neurons: charges and membranes are exact sums of weights times levels, and fit the spec's widths."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from amaranth.hdl import Cat, Const, Fragment, Module, Mux, Signal, Value, ValueLike, signed
from amaranth.lib import data

from spikequant.cosim.formal.circuit import around
from spikequant.cosim.formal.harness import (
    Harness,
    anything,
    before,
    check,
    cycles,
    in_any_state,
    inner,
    something,
    suppose,
    total,
)
from spikequant.cosim.formal.property import AnyState, Induction, Property
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.integrator import IntegratorGroup
from spikequant.rtl.neurons.neuron import ZERO_STAGE, Neurons
from spikequant.rtl.shapes import phase_layout, step_layout


class Neuron:
    """One neuron of the array with the two reference neurons and the counter of levels, connected as in the array.

    Attributes:
        weight: stored weight of each lane's input.
        fire, sign: spike of each lane, and whether it is negative.
        step: operation of the accumulators.
        own, reference, population: the accumulators.
    """

    def __init__(self, m: Module, spec: Spec, *, any_state: bool = False) -> None:
        bits = spec.weight_bits
        self.weight = Signal(data.ArrayLayout(bits, spec.lanes), name="weight")
        self.fire, self.sign = (Signal(spec.lanes, name=name) for name in ("fire", "sign"))
        self.step = Signal(step_layout(), name="step")
        self.own = IntegratorGroup(spec, 1)
        self.reference = IntegratorGroup(spec, 2)
        self.population = IntegratorGroup(spec, 1, bits=spec.widest_population_bits)
        self.fragments = {}
        for name in ("own", "reference", "population"):
            group = getattr(self, name)
            self.fragments[name] = fragment = Fragment.get(group, None)
            m.submodules[name] = in_any_state(fragment) if any_state else fragment
            m.d.comb += group.step.eq(self.step)
        m.d.comb += [self.own.sign.eq(self.sign & self.fire), self.reference.sign.eq(self.sign & self.fire)]
        for lane in range(spec.lanes):
            fires = self.fire[lane]
            m.d.comb += [
                # a lane without a spike reads a row of zeros
                self.own.weights[lane][0].eq(Mux(fires, self.weight[lane], 0)),
                self.reference.weights[lane][0].eq(Mux(fires, spec.weight_offset, 0)),
                self.reference.weights[lane][1].eq(Mux(fires, spec.weight_offset + 1, 0)),
                self.population.weights[lane][0].eq(fires),
            ]


class Exact(Harness):
    """Current and charge against exact integer sums, for any steps in any order.

    A neuron adds a spike's weight u, or the largest code minus u if the spike is negative; a reference neuron does the
    same with a weight of ``weight_offset``. Proved are: for each spike, the difference of the two is
    ``u - weight_offset`` with the spike's sign; each accumulator is the exact sum of its addends, modulo its width; and
    the exact sum of the differences fits the width as long as the sum of the levels is at most ``max_population``. So
    the difference of the two accumulators, in their width, equals that sum.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def describe(self, m: Module) -> None:
        """Sum the addends of each neuron, the differences, and the spikes, each in a current and a charge."""
        spec = self._spec
        neuron = Neuron(m, spec)
        for name in ("fire", "sign", "weight", "step"):
            value = Value.cast(getattr(neuron, name))
            m.d.comb += value.eq(anything(m, len(value), f"any_{name}"))
        lanes = range(spec.lanes)
        fires, signs = neuron.fire, neuron.sign
        offset = spec.weight_offset

        def given(weight: ValueLike, lane: int) -> Value:
            return Mux(fires[lane], Mux(signs[lane], spec.max_weight_code - weight, weight), 0)

        own = [given(neuron.weight[lane], lane) for lane in lanes]
        reference = [given(offset, lane) for lane in lanes]
        differences = [
            Mux(fires[lane], Mux(signs[lane], offset - neuron.weight[lane], neuron.weight[lane] - offset), 0)
            for lane in lanes
        ]
        for lane in lanes:
            check(m, own[lane] - reference[lane] == differences[lane], f"lane {lane} adds its weight with its sign")
        spikes = {
            "own": total(own),
            "lower": total(reference),
            "higher": total(given(offset + 1, lane) for lane in lanes),
            "count": total(fires),
            "difference": total(differences),
        }
        step = neuron.step.as_value()
        for stage in range(IntegratorGroup.latency(spec)):
            spikes = {name: before(m, value, f"{name}_{stage}") for name, value in spikes.items()}
            step = before(m, step, f"step_{stage}")
        step = data.View(step_layout(), step)
        bits = spec.widest_population_bits + spec.weight_bits + 2
        sums = {name: self._sums(m, step, value, name, bits) for name, value in spikes.items()}
        parts = {
            "own": (neuron.fragments["own"], 0),
            "lower": (neuron.fragments["reference"], 0),
            "higher": (neuron.fragments["reference"], 1),
            "count": (neuron.fragments["population"], 0),
        }
        # currents and charges are cleared a cycle after the reset
        cleared, over = Signal(), Signal()
        m.d.sync += [cleared.eq(1), over.eq(over | before(m, step.finish, "finish"))]
        for kind, (name, known) in enumerate((("current", cleared), ("charge", cleared), ("finished", over))):
            # a phase has no more levels than the rows of the memory allow
            count, difference = sums["count"][kind], sums["difference"][kind]
            suppose(m, ~known | ((count >= 0) & (count < 1 << spec.widest_population_bits)))
            for part, (fragment, number) in parts.items():
                held = inner(fragment, f"{name}_{number}")
                check(m, ~known | (held == sums[part][kind][: len(held)]), f"the {name} of {part} is the exact sum")
            most = count << (spec.weight_bits - 1)
            check(m, ~known | ((difference <= most) & (difference >= -most)), f"the {name} is bounded by the levels")
            limit = 1 << (spec.charge_bits - 1)
            fits = (difference < limit) & (difference >= -limit)
            check(m, ~known | (count > spec.max_population) | fits, f"the {name} fits its width if the levels do")
        bound = spikes["count"] << (spec.weight_bits - 1)
        check(m, (spikes["difference"] <= bound) & (spikes["difference"] >= -bound), "a beat is bounded by its spikes")

    def _sums(self, m: Module, step: data.View, spikes: Value, name: str, bits: int) -> list[Signal]:
        """Model current, charge and finished charge with exact integers."""
        current, charge, finished = (
            Signal(signed(bits), name=f"{name}_{kind}") for kind in ("current", "charge", "finished")
        )
        with m.If(step.keep_current):
            m.d.sync += current.eq(current + spikes)
        with m.If(step.clear):
            m.d.sync += current.eq(0)
        with m.If(step.keep_charge):
            m.d.sync += charge.eq(charge + Mux(step.double, charge, current))
        with m.If(before(m, step.finish, f"{name}_finish")):
            m.d.sync += [finished.eq(charge), charge.eq(0)]
        return [current, charge, finished]


class FirstSpikes(Harness):
    """Time-to-first-spike: each input fires once, higher levels first; the charge becomes the sum of w times n."""

    def __init__(self, spec: Spec, *, inputs: int, levels: int) -> None:
        self._spec = spec
        self._inputs = inputs
        self._levels = levels

    @property
    def cycles(self) -> int:
        """Number of cycles from the reset to the final charge."""
        beats = self._levels * (self._inputs // self._spec.lanes)
        return 2 + beats + IntegratorGroup.latency(self._spec) + IntegratorGroup.COPY_CYCLES + 1

    def describe(self, m: Module) -> None:
        """Drive any weights, levels and signs: for each level from the top down, its beats and then a tick."""
        spec = self._spec
        neuron = Neuron(m, spec, any_state=True)
        level_bits = self._levels.bit_length()
        weights = [something(m, spec.weight_bits, f"weight_{number}") for number in range(self._inputs)]
        levels = [something(m, level_bits, f"level_{number}") for number in range(self._inputs)]
        signs = [something(m, 1, f"sign_{number}") for number in range(self._inputs)]
        for level in levels:
            suppose(m, level <= self._levels)
        now = cycles(m, self.cycles)
        with m.Switch(now):
            with m.Case(0):
                m.d.comb += [neuron.step.clear.eq(1), neuron.step.finish.eq(1)]
            place = 1
            for level in reversed(range(1, self._levels + 1)):
                for first in range(0, self._inputs, spec.lanes):
                    beat = slice(first, first + spec.lanes)
                    with m.Case(place):
                        m.d.comb += [
                            neuron.fire.eq(Cat(own == level for own in levels[beat])),
                            neuron.sign.eq(Cat(signs[beat])),
                            neuron.weight.eq(Cat(weights[beat])),
                            neuron.step.keep_current.eq(1),
                            # the tick of a level coincides with the first beat of the next one
                            neuron.step.keep_charge.eq((level < self._levels) & (first == 0)),
                        ]
                    place += 1
            with m.Case(place):
                m.d.comb += [
                    neuron.step.keep_charge.eq(1),
                    neuron.step.finish.eq(1),
                    neuron.step.clear.eq(1),
                ]
            place += 1
        products = (
            Mux(s, -(w - spec.weight_offset), w - spec.weight_offset) * n
            for w, n, s in zip(weights, levels, signs, strict=True)
        )
        found = neuron.own.finished[0] - neuron.reference.finished[0]
        done = now == place + IntegratorGroup.latency(spec) + IntegratorGroup.COPY_CYCLES
        check(
            m, ~done | (found[: spec.charge_bits].as_signed() == total(products)), "the charge is the sum of w times n"
        )


class Membranes(Harness):
    """A membrane from two phases of a neuron's charges, among any others."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    @property
    def cycles(self) -> int:
        """Number of cycles from the zero point to the second membrane."""
        return 3 + self._spec.neurons + Neurons.latency(self._spec) + 2

    def describe(self, m: Module) -> None:
        """Load the zero point, then drive charges in every cycle."""
        spec = self._spec
        neurons = Neurons(spec)
        fragment = Fragment.get(neurons, None)
        m.submodules.component = in_any_state(fragment)
        now = cycles(m, self.cycles)
        latency = Neurons.latency(spec)
        zero = something(m, spec.weight_bits, "zero")
        suppose(m, inner(fragment, "arriving") < spec.neurons)
        starts = (3, 3 + spec.neurons)
        m.d.comb += [
            neurons.write.enable.eq(now == 0),
            neurons.write.data.neuron.eq(inner(fragment, "arriving")),
            neurons.write.data.parameters.zero.eq(zero),
            neurons.i.valid.eq(now >= starts[0]),
        ]
        phases = [something(m, phase_layout(spec), f"phase_{number}") for number in range(2)]
        charges = [something(m, signed(spec.charge_bits), f"charge_{number}") for number in range(2)]
        counts = [something(m, signed(spec.population_bits + 1), f"count_{number}") for number in range(2)]
        exceeded = [something(m, 1, f"exceeded_{number}") for number in range(2)]
        others = {
            name: anything(m, len(Value.cast(neurons.i.value[name])), f"other_{name}")
            for name in ("charge", "reference", "exceeded", "phase")
        }
        m.d.comb += [Value.cast(neurons.i.value[name]).eq(value) for name, value in others.items()]
        lower = anything(m, spec.charge_bits, "lower")
        for start, phase, charge, count, beyond in zip(starts, phases, charges, counts, exceeded, strict=True):
            with m.If(now == start):
                m.d.comb += [
                    neurons.i.value.charge.eq(charge + lower),
                    neurons.i.value.reference[0].eq(lower),
                    neurons.i.value.reference[1].eq(lower + count),
                    neurons.i.value.exceeded.eq(beyond),
                    neurons.i.value.phase.eq(phase),
                ]
            suppose(m, (count <= spec.max_population) & (count >= -spec.max_population))
            most = spec.weight_offset * spec.max_population
            suppose(m, (charge <= most) & (charge >= -most))
            suppose(m, phase.shift <= spec.max_shift)
        suppose(m, (phases[0].slot == phases[1].slot) & phases[0].first)
        membrane: Value = Const(0)
        flagged: Value = Const(0)
        within: Value = Const(1)
        limit = 1 << (spec.membrane_bits - 1)
        for number, (start, phase, charge, count, beyond) in enumerate(
            zip(starts, phases, charges, counts, exceeded, strict=True)
        ):
            centred = {"charge_1": charge, "population_1": count}
            _check_registers(m, fragment, now == start + 1, centred, f"charge {number} arrives without the offset")
            # (weight_offset - zero) * count, by the digits of the zero point, the highest one inverted
            digits = Mux(phase.low, 0, zero)
            corrected: Value = charge
            for step, place in enumerate(reversed(range(spec.weight_bits)), ZERO_STAGE + 1):
                added = Mux(digits[place], -count, 0) if place < spec.weight_bits - 1 else Mux(digits[place], 0, count)
                corrected = corrected + (added << place)
                held = {f"corrected_{place}": corrected}
                _check_registers(
                    m, fragment, now == start + step, held, f"charge {number} is corrected by digit {place}"
                )
            addend = corrected << phase.shift
            fresh = phase.first
            membrane = Mux(fresh, addend, membrane + addend)
            flagged = Mux(fresh, beyond, flagged | beyond)
            inside = (membrane < limit) & (membrane >= -limit)
            within = Mux(fresh, inside & ~beyond, within & inside & ~beyond)
            here = now == start + latency
            check(m, ~here | (neurons.o.valid == phase.last), f"membrane {number} arrives if it is complete")
            arrives, exact, raised = here & phase.last, neurons.o.value.value == membrane, neurons.o.value.saturated
            check(m, ~arrives | raised | exact, f"membrane {number} is exact or flagged")
            check(m, ~arrives | raised | ~flagged, f"membrane {number} is flagged if its levels were too many")
            check(m, ~arrives | ~raised | ~within, f"membrane {number} is not flagged needlessly")


def _check_registers(m: Module, fragment: Fragment, when: Value, held: dict[str, Value], message: str) -> None:
    """Check registers at some time: these intermediate facts keep the solver's next step small."""
    for name, value in held.items():
        check(m, ~when | (inner(fragment, name) == value), message)


def properties() -> Iterator[Property]:
    """Return the properties, from spikes to the complete membrane."""
    shapes: tuple[tuple[int, Literal[2, 4]], ...] = ((1, 2), (2, 2), (2, 4))
    for lanes, bits in shapes:
        neurons = 16 if bits == 2 else 8
        spec = Spec(
            neurons=neurons,
            lanes=lanes,
            depth=16,
            weight_bits=bits,
            salient_bits=0,
            max_salient_shift=0,
            population_bits=6,
            score_words=32,
        )
        yield Property(
            name=f"neuron.sum-{lanes}x{bits}",
            component=f"IntegratorGroup, {lanes} lanes, {bits}-bit weights, {spec.charge_bits}-bit charge",
            specification="current and charge are exact for any event program, and fit if the levels' sum does",
            method=Induction(IntegratorGroup.latency(spec) + IntegratorGroup.COPY_CYCLES + 1),
            circuit=partial(around, partial(Exact, spec)),
        )
    spec = Spec(
        neurons=8,
        lanes=2,
        depth=16,
        weight_bits=4,
        activation_bits=3,
        salient_bits=0,
        max_salient_shift=0,
        population_bits=6,
        ramp=4,
        score_words=32,
    )
    harness = FirstSpikes(spec, inputs=2, levels=3)
    yield Property(
        name="neuron.first-spikes",
        component="IntegratorGroup, 2 lanes: 2 inputs, levels up to 3",
        specification="V = sum of w times n, from spikes in the order of falling levels",
        method=AnyState(harness.cycles),
        circuit=partial(around, lambda: harness),
    )
    spec = Spec(
        neurons=8,
        lanes=1,
        depth=4,
        salient_bits=0,
        activation_bits=2,
        max_salient_shift=0,
        population_bits=6,
        membrane_bits=8,
        membrane_slots=2,
        score_words=32,
    )
    harness_of_two = Membranes(spec)
    yield Property(
        name="neuron.membrane",
        component="Neurons, 8 neurons, 2 slots, 8-bit membrane",
        specification="V = sum of (charge + (offset - zero) * levels) << shift over two phases, exact or flagged",
        method=AnyState(harness_of_two.cycles),
        circuit=partial(around, lambda: harness_of_two),
        solver="abc",
    )
