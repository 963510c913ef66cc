"""Properties of the read-out: its codes follow the threshold's formula, for every membrane and theta."""

from collections.abc import Iterator
from functools import partial
from typing import Literal

from amaranth.asserts import Initial
from amaranth.hdl import Const, Fragment, Module, Mux, Signal, Value
from amaranth.lib import data

from spikequant.cosim.formal.circuit import around
from spikequant.cosim.formal.harness import (
    Harness,
    anything,
    check,
    cycles,
    in_any_state,
    in_state,
    inner,
    is_some_state,
    suppose,
)
from spikequant.cosim.formal.property import AnyState, Induction, Property
from spikequant.golden.layer.spec import THETA_BITS, Spec
from spikequant.rtl.neurons.readout import HalvingReadout, RampReadout
from spikequant.rtl.shapes import code_layout, ready_layout


def times(number: Value, factor: Value) -> Value:
    """Multiply by the bits of the factor from the highest one down, in the order in which the read-out finds them."""
    product: Value = Const(0, len(number))
    for place in reversed(range(len(factor))):
        product = (product << 1) + Mux(factor[place], number, 0)
    return product


def excitation_of(spec: Spec, ready: data.View) -> Value:
    """Return ``|V'| * 2**F + theta // 2``."""
    amount = Mux(ready.membrane < 0, -ready.membrane, ready.membrane)[: spec.biased_bits]
    return (amount << spec.theta_fraction_bits) + (ready.theta >> 1)


def is_quotient(spec: Spec, ready: data.View, magnitude: Value) -> Value:
    """Return whether ``magnitude`` is ``min(2**(B-1) - 1, x // theta)``, by ``0 <= x - magnitude * theta < theta``."""
    excitation = excitation_of(spec, ready)
    multiple = times(ready.theta, magnitude)
    largest = magnitude == spec.max_output_code
    return (multiple <= excitation) & (largest | (excitation < multiple + ready.theta))


def is_result(spec: Spec, ready: data.View, result: data.View, magnitude: Value) -> Value:
    """Return whether a result belongs to a membrane, with a code of its sign and this magnitude."""
    return (
        (result.code == Mux(ready.membrane < 0, -magnitude, magnitude))
        & (magnitude <= spec.max_output_code)
        & (result.membrane == ready.membrane)
        & (result.saturated == ready.saturated)
        & (result.brief == ready.brief)
    )


def fits(ready: data.View, bits: int) -> Value:
    """Return whether theta is not 0, and theta and the membrane's magnitude fit ``bits``."""
    high = ready.membrane[bits:]
    return (ready.theta != 0) & ~ready.theta[bits:].any() & (high.all() | ~high.any())


class Halving(Harness):
    """The read-out by halving, from any state, for the time that it takes for one membrane."""

    def __init__(self, spec: Spec, bits: int) -> None:
        self._spec = spec
        self._bits = bits

    def describe(self, m: Module) -> None:
        """Offer a membrane in the first cycle and any others later, but not in the adjacent cycle."""
        spec = self._spec
        readout = HalvingReadout(spec)
        fragment = Fragment.get(readout, None)
        m.submodules.component = in_any_state(fragment)
        latency = HalvingReadout.latency(spec)
        now = cycles(m, latency + 1)
        first = now == 0
        m.d.comb += readout.i.valid.eq(Mux(first, 1, anything(m, 1, "i_valid")))
        m.d.comb += readout.i.value.as_value().eq(anything(m, readout.i.value.shape().size, "i"))
        suppose(m, ~first | ~inner(fragment, "excited"))
        suppose(m, (now != 1) | ~readout.i.valid)
        ready = Signal(ready_layout(spec))
        with m.If(first):
            m.d.sync += ready.eq(readout.i.value)
        suppose(m, ~first | fits(readout.i.value, self._bits))
        result = readout.o.value
        magnitude = Mux(ready.membrane < 0, -result.code, result.code)[: spec.output_bits]
        right = is_result(spec, ready, result, magnitude) & is_quotient(spec, ready, magnitude)
        check(m, (now != latency) | readout.o.valid, "the code is on time")
        check(m, (now != latency) | right, "the code follows the formula")


class Ramp(Harness):
    """The ramp, from any state in which it accepts a membrane, until the code of that is ready."""

    def __init__(self, spec: Spec, bits: int) -> None:
        self._spec = spec
        self._bits = bits

    def describe(self, m: Module) -> None:
        """Offer a membrane in the first cycle."""
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
            readout.i.valid.eq(first & ~Initial()),
            readout.i.value.as_value().eq(anything(m, readout.i.value.shape().size, "i")),
            result.eq(readout.o.value),
        ]
        suppose(m, ~first | (in_state(fragment, "load") & fits(readout.i.value, self._bits)))
        with m.If(first):
            m.d.sync += ready.eq(readout.i.value)
        with m.If(readout.o.valid & ~first):
            m.d.sync += over.eq(1)
        gives = readout.o.valid & ~first & ~over
        magnitude = Mux(ready.membrane < 0, -result.code, result.code)[: spec.output_bits]
        right = is_result(spec, ready, result, magnitude) & is_quotient(spec, ready, magnitude)
        check(m, ~gives | right, "the code follows the formula")
        check(m, (now != most) | over | readout.o.valid, "the code is on time")


class RampTakes(Harness):
    """The ramp with one membrane at a time."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec

    def describe(self, m: Module) -> None:
        """Check that it is in its accepting state while it holds no membrane."""
        readout = RampReadout(self._spec)
        m.submodules.component = fragment = Fragment.get(readout, None)
        inside = Signal()
        m.d.sync += inside.eq((inside & ~readout.o.valid) | readout.i.valid)
        m.d.comb += readout.i.value.as_value().eq(anything(m, readout.i.value.shape().size, "i"))
        m.d.comb += readout.i.valid.eq(anything(m, 1, "i_valid") & ~inside)
        loads = in_state(fragment, "load")
        check(
            m, Mux(inside, loads == readout.o.valid, loads & ~readout.o.valid), "it accepts a membrane if it is empty"
        )
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


def _widths(bits: int) -> str:
    return "all V' and theta" if bits == THETA_BITS else f"|V'| and theta below 2**{bits}"


def properties() -> Iterator[Property]:
    """Return properties of both forms with several widths of codes; wide membranes and thetas exceed the solver."""
    for output_bits, fraction, bits in ((2, 0, THETA_BITS), (4, 2, 12), (8, 2, 8)):
        spec = _spec(output_bits, fraction, readout="halving")
        yield Property(
            name=f"readout.halving-{output_bits}",
            component=f"HalvingReadout, B = {output_bits}, F = {fraction}, {_widths(bits)}",
            specification="code = sign(V') * min(2**(B-1) - 1, (|V'| * 2**F + theta // 2) // theta)",
            method=AnyState(HalvingReadout.latency(spec) + 1),
            circuit=partial(around, partial(Halving, spec, bits)),
        )
    for output_bits, fraction, bits in ((2, 0, THETA_BITS), (3, 12, THETA_BITS), (5, 12, 12)):
        spec = _spec(output_bits, fraction, readout="ramp")
        yield Property(
            name=f"readout.ramp-{output_bits}",
            component=f"RampReadout, B = {output_bits}, F = {fraction}, {_widths(bits)}",
            specification="the same code, at most 2**(B-1) + 2 cycles after its membrane",
            method=AnyState(spec.max_output_code + 4),
            circuit=partial(around, partial(Ramp, spec, bits)),
        )
    yield Property(
        name="readout.ramp-takes",
        component="RampReadout, B = 5, F = 12",
        specification="it accepts a membrane whenever it holds none",
        method=Induction(6),
        circuit=partial(around, partial(RampTakes, _spec(5, 12, readout="ramp"))),
    )
