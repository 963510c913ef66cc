"""The read-out's codes are those of the threshold's formula, for every membrane and every theta."""

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from typing import Literal

from amaranth.asserts import Initial
from amaranth.hdl import Const, Fragment, Module, Mux, Signal, Value
from amaranth.lib import data

from cosim.formal.harness import (
    Harness,
    anything,
    before,
    check,
    cycles,
    in_any_state,
    in_state,
    inner,
    is_some_state,
    suppose,
)
from cosim.formal.property import AnyState, Induction, Property
from golden.spec import THETA_BITS, Spec
from rtl.readout import STEPS_PER_ADDER, HalvingReadout, RampReadout
from rtl.shapes import code_layout, ready_layout


def times(number: Value, factor: Value) -> Value:
    """A product, bit by bit of the factor from its highest one down, as the read-out finds them."""
    product: Value = Const(0, len(number))
    for place in reversed(range(len(factor))):
        product = (product << 1) + Mux(factor[place], number, 0)
    return product


def excitation_of(spec: Spec, ready: data.View) -> Value:
    """``|V'| * 2**F + theta // 2``."""
    amount = Mux(ready.membrane < 0, -ready.membrane, ready.membrane)[: spec.biased_bits]
    return (amount << spec.theta_fraction_bits) + (ready.theta >> 1)


def is_quotient(spec: Spec, ready: data.View, magnitude: Value) -> Value:
    """Whether ``magnitude`` is ``min(2**(B-1) - 1, x // theta)``: it is if ``0 <= x - magnitude * theta < theta``."""
    excitation = excitation_of(spec, ready)
    multiple = times(ready.theta, magnitude)
    largest = magnitude == spec.max_output_code
    return (multiple <= excitation) & (largest | (excitation < multiple + ready.theta))


def is_result(spec: Spec, ready: data.View, result: data.View, magnitude: Value) -> Value:
    """Whether a result is its membrane's, with a code of this magnitude and the membrane's sign."""
    return (
        (result.code == Mux(ready.membrane < 0, -magnitude, magnitude))
        & (magnitude <= spec.max_output_code)
        & (result.membrane == ready.membrane)
        & (result.saturated == ready.saturated)
        & (result.brief == ready.brief)
    )


class Halving(Harness):
    """The read-out by halving, on membranes at any time but in two cycles that follow each other.

    By induction over its pipeline. With x the excitation, s steps done of S, and c the code so far, what is left is
    ``p = (x >> (S - 1 - s)) - 2 * c * theta``. It is never negative, and below twice theta unless all bits of c are
    set. The rest that the hardware keeps is p, or, if the last bit of c is not set, p less twice theta; or else it
    knows that x is beyond the largest code, and the rest and c are nothing.
    """

    def __init__(self, spec: Spec, bits: int) -> None:
        """What to prove it for.

        Args:
            spec: of the accelerator.
            bits: of the membranes' magnitudes and of theta; wider ones are left out.
        """
        self._spec = spec
        self._bits = bits

    def describe(self, m: Module) -> None:
        """What each stage holds, said with the membrane that came in so many cycles ago."""
        spec = self._spec
        readout = HalvingReadout(spec)
        m.submodules.component = fragment = Fragment.get(readout, None)
        steps = spec.output_bits - 1
        m.d.comb += readout.i_valid.eq(anything(m, 1, "i_valid"))
        m.d.comb += readout.i.as_value().eq(anything(m, readout.i.shape().size, "i"))
        suppose(m, (readout.i.theta != 0) & ~readout.i.theta[self._bits :].any())
        high = readout.i.membrane[self._bits :]
        suppose(m, high.all() | ~high.any())
        valid: list[Value] = [readout.i_valid]
        ready = [readout.i]
        for stage in range(HalvingReadout.latency(spec)):
            valid.append(before(m, valid[-1], f"valid_{stage}"))
            later = Signal(ready_layout(spec), name=f"ready_{stage}")
            m.d.sync += later.eq(ready[-1])
            ready.append(later)
        suppose(m, ~(valid[0] & valid[1]))
        for earlier, later in pairwise(valid):
            check(m, ~(earlier & later), "a cycle lies between two membranes")

        for stage, name in ((1, "excited"), *((step + 2, f"valid_{step}") for step in range(steps))):
            check(m, inner(fragment, name) == valid[stage], f"{name} is where the membrane is")
        held = {1: "excited_membrane", steps + 2: "coded_membrane"}
        held |= {step + 2: f"membrane_{step - step % STEPS_PER_ADDER}" for step in range(steps)}
        for stage, name in held.items():
            own = Value.cast(inner(fragment, name)) == ready[stage].as_value()
            check(m, ~valid[stage] | own, f"the membrane is in {name}")
        excited = inner(fragment, "excitation") == excitation_of(spec, ready[1])
        check(m, ~valid[1] | excited, "the excitation is the formula's")
        for step in range(steps):
            self._step(m, fragment, step, valid[step + 2], ready[step + 2])
        coded, magnitude = inner(fragment, "coded"), inner(fragment, "magnitude")
        check(m, coded == valid[steps + 2], "coded is where the membrane is")
        check(m, ~coded | is_quotient(spec, ready[steps + 2], magnitude), "the code is the formula's")
        right = is_result(spec, ready[-1], readout.o, before(m, magnitude, "magnitude_before"))
        check(m, readout.o_valid == valid[-1], "a result for each membrane")
        check(m, ~valid[-1] | right, "the result is its membrane's, with the code's sign")

    def _step(self, m: Module, fragment: Fragment, step: int, valid: Value, ready: data.View) -> None:
        """What is there when some steps are done."""
        spec = self._spec
        steps = spec.output_bits - 1
        even = step % STEPS_PER_ADDER == 0
        code = inner(fragment, f"code_{step}") if step else Const(0, 0)
        tail = inner(fragment, f"tail_{step}") if step < steps - 1 else Const(0, 0)
        rest = inner(fragment, f"{'entered' if even else 'turned'}_{step}")
        subtract = inner(fragment, f"subtract_{step - step % STEPS_PER_ADDER}")
        beyond = inner(fragment, f"beyond_{step}")
        excitation, theta = excitation_of(spec, ready), ready.theta
        fits = code[0] if step else Const(1)
        left = (excitation >> (steps - 1 - step)) - (times(theta, code) << 1)
        largest = times(theta, Const(spec.max_output_code, steps)) <= excitation
        # a reset leaves something, which is gone before a membrane comes
        settled = before(m, 1, f"settled_{step}")
        check(m, ~settled | valid | (rest == 0), f"nothing is in step {step} without a membrane")
        check(m, ~valid | (subtract == fits), f"step {step} subtracts what fits")
        check(m, ~valid | (tail == excitation[: len(tail)]), f"the tail of step {step} is the excitation's")
        known = valid & ~beyond
        check(m, ~known | (left >= 0), f"no more than there is has been taken off before step {step}")
        check(
            m, ~known | (left < (theta << 1)) | code.all() | Const(not step), f"step {step} has less than twice theta"
        )
        exact = rest.as_signed() == left - Mux(fits, 0, theta << 1)
        check(m, ~valid | Mux(beyond, largest, exact), f"the rest of step {step} is what is left")


class Ramp(Harness):
    """The ramp, from any state in which it takes a membrane, until that has its code."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def describe(self, m: Module) -> None:
        """A membrane comes in the first cycle; its result comes in time, and is right."""
        spec = self._spec
        readout = RampReadout(spec)
        fragment = Fragment.get(readout, None)
        m.submodules.component = in_any_state(fragment)
        most = spec.max_output_code + 3
        now = cycles(m, most)
        first = now == 0
        ready, result = Signal(ready_layout(spec)), Signal(code_layout(spec))
        over = Signal()
        m.d.comb += [
            readout.i_valid.eq(first & ~Initial()),
            readout.i.as_value().eq(anything(m, readout.i.shape().size, "i")),
            result.eq(readout.o),
        ]
        suppose(m, ~first | (in_state(fragment, "load") & (readout.i.theta != 0)))
        with m.If(first):
            m.d.sync += ready.eq(readout.i)
        with m.If(readout.o_valid & ~first):
            m.d.sync += over.eq(1)
        gives = readout.o_valid & ~first & ~over
        magnitude = Mux(ready.membrane < 0, -result.code, result.code)[: spec.output_bits]
        right = is_result(spec, ready, result, magnitude) & is_quotient(spec, ready, magnitude)
        check(m, ~gives | right, "the code is the formula's")
        check(m, (now != most) | over | readout.o_valid, "the code comes in time")


class RampTakes(Harness):
    """The ramp, one membrane at a time."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def describe(self, m: Module) -> None:
        """As long as none is inside, it is in the state in which it takes one."""
        readout = RampReadout(self._spec)
        m.submodules.component = fragment = Fragment.get(readout, None)
        inside = Signal()
        m.d.sync += inside.eq((inside & ~readout.o_valid) | readout.i_valid)
        m.d.comb += readout.i.as_value().eq(anything(m, readout.i.shape().size, "i"))
        m.d.comb += readout.i_valid.eq(anything(m, 1, "i_valid") & ~inside)
        loads = in_state(fragment, "load")
        check(m, Mux(inside, loads == readout.o_valid, loads & ~readout.o_valid), "it takes a membrane if it has none")
        check(m, is_some_state(fragment), "there is such a state")


def _spec(output_bits: int, fraction: int, *, readout: Literal["halving", "ramp"]) -> Spec:
    return Spec(
        neurons=8,
        lanes=1,
        depth=4,
        membrane_bits=8,
        output_bits=output_bits,
        theta_fraction_bits=fraction,
        score_words=32,
        readout=readout,
    )


def properties() -> Iterator[Property]:
    """Both forms, with codes of several widths; membranes and thetas are as wide as they ever are."""
    for bits, fraction, narrow in ((2, 0, THETA_BITS), (4, 2, 8), (8, 2, 6)):
        spec = _spec(bits, fraction, readout="halving")
        widths = "all V' and theta" if narrow == THETA_BITS else f"|V'| and theta below 2**{narrow}"
        yield Property(
            name=f"readout.halving-{bits}",
            component=f"HalvingReadout, B = {bits}, F = {fraction}, {widths}",
            specification="code = sign(V') * min(2**(B-1) - 1, (|V'| * 2**F + theta // 2) // theta)",
            method=Induction(2),
            harness=partial(Halving, spec, narrow),
        )
    for bits, fraction in ((2, 0), (3, 12), (5, 12)):
        spec = _spec(bits, fraction, readout="ramp")
        yield Property(
            name=f"readout.ramp-{bits}",
            component=f"RampReadout, B = {bits}, F = {fraction}",
            specification="the same code, at most 2**(B-1) + 2 cycles behind its membrane",
            method=AnyState(spec.max_output_code + 4),
            harness=partial(Ramp, spec),
        )
    yield Property(
        name="readout.ramp-takes",
        component="RampReadout, B = 5, F = 12",
        specification="it takes a membrane whenever it has none",
        method=Induction(6),
        harness=partial(RampTakes, _spec(5, 12, readout="ramp")),
    )
