"""The threshold: a membrane becomes an output code, by comparing and subtracting alone.

Both forms give ``sign(V') * min(2**(B-1) - 1, (|V'| * 2**F + theta // 2) // theta)``.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, ValueLike
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Member, Out

from golden.spec import THETA_BITS, Spec
from rtl.fabric import AddSubtract
from rtl.queue import BlockQueue
from rtl.shapes import code_layout, ready_layout

RAMP_WAITING = 512
"""Membranes that may wait for the ramp: a block RAM's rows."""


def excitation_bits(spec: Spec) -> int:
    """Width of ``|V'| * 2**F + theta // 2`` and of every multiple of theta that it is compared with."""
    scaled = spec.biased_bits + spec.theta_fraction_bits
    return max(scaled, THETA_BITS + spec.output_bits - 1) + 1


def _ports(spec: Spec) -> dict[str, Member]:
    return {
        "i_valid": In(1),
        "i": In(ready_layout(spec)),
        "hold": Out(1),
        "room": In(1),
        "o_valid": Out(1),
        "o": Out(code_layout(spec)),
        "busy": Out(1),
    }


class HalvingReadout(Component):
    """Wide codes by successive halving.

    Each power of two times theta, highest first, is taken off the excitation, or, where the one before took off too
    much, put back by half. A bit of the code is set where nothing is missing afterwards.

    An excitation beyond the largest code never falls below zero, which is the largest code. No theta reaches
    ``2**THETA_BITS``, so magnitudes that no code can reach are cut to fewer bits before.

    Latency: ``latency(spec)`` cycles. Throughput: a membrane a cycle. Nothing ever waits.

    Attributes:
        i_valid, i: a complete membrane.
        o_valid, o: the same with its code.
        room: not used, because what comes out never waits; ``hold``: never set.
        busy: a membrane is inside.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(_ports(spec))

    @staticmethod
    def latency(spec: Spec) -> int:
        """Cycles from a membrane to its code."""
        return spec.output_bits + 3

    def elaborate(self, _platform: object) -> Module:
        """Magnitude, its limit, excitation, one stage a bit of the code, and the sign."""
        m = Module()
        spec = self._spec
        code_bits = spec.output_bits - 1
        kept_bits = THETA_BITS + code_bits - spec.theta_fraction_bits
        rest_bits = THETA_BITS + code_bits + 2
        valids: list[Value] = [self.i_valid]

        def stage(name: str, membrane: ValueLike, **values: Value) -> tuple[Signal, ...]:
            """All that goes on to the next stage, and that there is something."""
            membrane_after = Signal(ready_layout(spec), name=f"{name}_membrane", reset_less=True)
            valid = Signal(name=f"{name}_valid")
            after = [Signal.like(value, name=f"{name}_{key}", reset_less=True) for key, value in values.items()]
            m.d.sync += [membrane_after.eq(membrane), valid.eq(valids[-1])]
            m.d.sync += [new.eq(old) for new, old in zip(after, values.values(), strict=True)]
            valids.append(valid)
            return membrane_after, *after

        incoming = self.i
        absolute = AddSubtract(bits=spec.biased_bits)
        m.submodules.absolute = absolute
        m.d.comb += [
            absolute.b.eq(incoming.membrane),
            absolute.subtract.eq(incoming.membrane < 0),
        ]
        membrane, magnitude = stage("magnitude", incoming, value=absolute.total)
        membrane, limit = stage("limit", membrane, value=magnitude[:kept_bits])
        with m.If(magnitude[kept_bits:].any()):
            m.d.sync += limit.eq(-1)
        excitation = (limit << spec.theta_fraction_bits) + (membrane.theta >> 1)
        membrane, rest = stage("excitation", membrane, value=excitation[:rest_bits])
        code: Value = Const(0, 0)
        for bit in reversed(range(code_bits)):
            m.submodules[f"step_{bit}"] = step = AddSubtract(bits=rest_bits - bit)
            m.d.comb += [
                step.a.eq(rest[bit:]),
                step.b.eq(membrane.theta),
                # nothing is missing before the first step, and after it where the step before set its bit
                step.subtract.eq(code[0] if len(code) else 1),
            ]
            membrane, rest, code = stage(
                f"step_{bit}", membrane, rest=Cat(rest[:bit], step.total), code=Cat(~step.total[-1], code)
            )
        signed_code = AddSubtract(bits=spec.output_bits)
        m.submodules.sign = signed_code
        m.d.comb += [signed_code.b.eq(code), signed_code.subtract.eq(membrane.membrane < 0)]
        m.d.sync += [self.o_valid.eq(valids[-1]), *result_of(self.o, membrane, signed_code.total)]
        m.d.sync += self.busy.eq(Cat(valids).any())
        return m


class RampReadout(Component):
    """Narrow codes as a first-spike time: theta times the largest code ramps down to theta.

    The neuron fires at the first tick at which the ramp is not above its excitation; the code is the
    number of ticks left. One that never fires has code 0.

    Latency: the first-spike time, at most ``2**(output_bits - 1) - 1``, and some cycles more. One membrane at
    a time; the others wait in a queue.

    Attributes:
        i_valid, i: a complete membrane; after ``hold`` is set, only those that are on the way.
        hold: the queue is nearly full.
        o_valid, o: the same with its code, only while ``room``.
        busy: a membrane is inside.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(_ports(spec))

    @staticmethod
    def latency(_spec: Spec) -> int:
        """Membranes that may still come out where ``room`` is no more."""
        return 1

    def elaborate(self, _platform: object) -> Module:
        """Load, ramp until the spike, hand over."""
        m = Module()
        spec = self._spec
        m.submodules.queue = queue = BlockQueue(ready_layout(spec), depth=RAMP_WAITING)
        m.d.comb += [queue.i_valid.eq(self.i_valid), queue.i.eq(self.i)]
        m.d.sync += self.hold.eq(queue.stored >= RAMP_WAITING // 2)
        width = excitation_bits(spec)
        excitation = Signal(width, reset_less=True)
        ramp = Signal(width, reset_less=True)
        left = Signal(spec.output_bits - 1)
        held = Signal(ready_layout(spec), reset_less=True)
        incoming = queue.o.payload
        scaled = Mux(incoming.membrane < 0, -incoming.membrane, incoming.membrane) << spec.theta_fraction_bits
        m.d.comb += self.busy.eq(~queue.o.ready | ~queue.empty)
        m.d.sync += self.o_valid.eq(0)
        with m.FSM():
            with m.State("load"):
                m.d.comb += queue.o.ready.eq(1)
                m.d.sync += [
                    held.eq(incoming),
                    excitation.eq(scaled + (incoming.theta >> 1)),
                    ramp.eq((incoming.theta << (spec.output_bits - 1)) - incoming.theta),
                    left.eq(spec.max_output_code),
                ]
                with m.If(queue.o.valid):
                    m.next = "ramp"
            with m.State("ramp"):
                with m.If((left == 0) | (excitation >= ramp)):
                    m.next = "fired"
                with m.Else():
                    m.d.sync += [ramp.eq(ramp - held.theta), left.eq(left - 1)]
            with m.State("fired"), m.If(self.room):
                m.d.sync += result_of(self.o, held, Mux(held.membrane < 0, -left, left))
                m.d.sync += self.o_valid.eq(1)
                m.next = "load"
        return m


def result_of(result: data.View, ready: data.View, code: Value) -> list[object]:
    """Assignments that complete a membrane with its code."""
    return [
        result.membrane.eq(ready.membrane),
        result.code.eq(code),
        result.saturated.eq(ready.saturated),
        result.slot.eq(ready.slot),
        result.final.eq(ready.final),
    ]


def make_readout(spec: Spec) -> HalvingReadout | RampReadout:
    """The read-out that the spec asks for."""
    return RampReadout(spec) if spec.readout == "ramp" else HalvingReadout(spec)
