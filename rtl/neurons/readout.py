"""The read-out: a membrane becomes an output code by comparing and subtracting alone.

Both forms compute ``sign(V') * min(2**(B-1) - 1, (|V'| * 2**F + theta // 2) // theta)``.
"""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Member, Out

from spikequant.golden.layer.spec import THETA_BITS, Spec
from spikequant.rtl.fabric.carry import AddSubtract, JoinedAddSubtract
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.interfaces import Flow
from spikequant.rtl.shapes import code_layout, ready_layout

REST_BITS = THETA_BITS + 2
"""Width of the remainder of halving: twice theta, signed."""

STEPS_PER_ADDER = 2
"""Steps of halving that share an adder."""


def excitation_bits(spec: Spec) -> int:
    """Width of ``|V'| * 2**F + theta // 2`` and of every multiple of theta that it is compared with."""
    scaled = spec.biased_bits + spec.theta_fraction_bits
    return max(scaled, THETA_BITS + spec.output_bits - 1) + 1


def _ports(spec: Spec) -> dict[str, Member]:
    return {
        "i": In(Flow(ready_layout(spec))),
        "o": Out(Flow(code_layout(spec))),
    }


def _excitation(m: Module, spec: Spec, ready: data.View) -> Value:
    """``|V'| * 2**F + theta // 2``: the membrane is added to theta or subtracted from it, by its sign."""
    half = ready.theta[1:]
    low = half[: spec.theta_fraction_bits]
    m.submodules.excite = adder = AddSubtract(bits=spec.biased_bits + 1)
    m.d.comb += [
        adder.a.eq(half[spec.theta_fraction_bits :]),
        adder.b.eq(ready.membrane),
        adder.subtract.eq(ready.membrane[-1]),
    ]
    return Cat(low, adder.total)


def _signed(m: Module, spec: Spec, code: Value, negative: Value) -> Value:
    m.submodules.sign = adder = AddSubtract(bits=spec.output_bits)
    m.d.comb += [adder.b.eq(code), adder.subtract.eq(negative)]
    return adder.total


class HalvingReadout(Component):
    """Wide codes by non-restoring division, a bit a step.

    Each power of two times theta, highest first, is subtracted from the excitation, or added if the previous remainder
    is negative. A bit of the code is set where the remainder is not negative. Theta stays and the remainder doubles
    instead; each adder makes two steps, in consecutive cycles.

    A remainder of ``2**THETA_BITS`` or more, which is more than theta, means that the excitation is beyond the largest
    code.

    Latency: ``latency(spec)`` cycles. Throughput: a membrane every second cycle. Handshake: none.

    Attributes:
        i: a membrane, not in two consecutive cycles.
        o: the membrane with its code.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(_ports(spec))

    @staticmethod
    def latency(spec: Spec) -> int:
        """Cycles from a membrane to its code."""
        return spec.output_bits + 2

    def elaborate(self, _platform: object) -> Module:
        """Excitation, an adder for every two steps, and the sign."""
        m = Module()
        spec = self._spec
        steps = spec.output_bits - 1
        top = steps - 1 + REST_BITS - 1

        def held(name: str, membrane: data.View, when: Value) -> data.View:
            """The membrane, held as long as an adder needs it."""
            register = Signal(ready_layout(spec), name=name, reset_less=True)
            with m.If(when):
                m.d.sync += register.eq(membrane)
            return register

        def later(name: str, value: Value, *, cleared: Value | None = None, bits: int | None = None) -> Signal:
            """The value one cycle later, or 0 where cleared."""
            register = Signal(len(value) if bits is None else bits, name=name, reset_less=True)
            m.d.sync += register.eq(value)
            if cleared is not None:
                with m.If(cleared):
                    m.d.sync += register.eq(0)
            return register

        excitation = later("excitation", _excitation(m, spec, self.i.value))
        membrane = held("excited_membrane", self.i.value, self.i.valid)
        # state of a step: a membrane is in it, its remainder, the bits still to come in, the code so far, and whether
        # the largest code has been passed
        valid = Signal(name="excited")
        m.d.sync += valid.eq(self.i.valid)
        rest, tail, code = excitation[steps - 1 : top], excitation[: steps - 1], Const(0, 0)
        beyond = excitation[top:].any()
        # whether the previous step's remainder is negative; a register, since a sum's sign comes late in its cycle
        negative: Value = Const(0, 1)
        for step in range(steps):
            following = Signal(name=f"valid_{step}")
            m.d.sync += following.eq(valid)
            if step % STEPS_PER_ADDER == 0:
                membrane = held(f"membrane_{step}", membrane, valid)
                remainder = later(f"entered_{step}", rest, cleared=~valid, bits=REST_BITS)
                m.submodules[f"halve_{step}"] = adder = JoinedAddSubtract(bits=REST_BITS)
                own = later(f"negative_{step}", adder.total[-1])
                m.d.comb += [
                    adder.x.eq(remainder),
                    adder.b.eq(membrane.theta),
                    adder.subtract.eq(~Mux(following, negative, own)),
                ]
            else:
                remainder = later(f"turned_{step}", rest, cleared=~valid, bits=REST_BITS)
                m.d.comb += adder.y.eq(remainder)
            tail, code, beyond = (
                later(f"{name}_{step}", value) for name, value in (("tail", tail), ("code", code), ("beyond", beyond))
            )
            if step > 0:
                # what the previous step found
                code = Cat(~negative, code)
                beyond |= remainder[-1] & ~negative
            rest = Cat(tail[-1:], adder.total[:-1])
            tail, negative, valid = tail[:-1], own, following

        membrane = held("coded_membrane", membrane, valid)
        upper = later("magnitude", code)
        passed = later("passed", beyond)
        with m.If(beyond):
            m.d.sync += upper.eq(-1)
        coded = Signal()
        total = _signed(m, spec, Cat(passed | ~negative, upper), membrane.membrane[-1])
        m.d.sync += [
            coded.eq(valid),
            self.o.valid.eq(coded),
            *result_of(unreset(m, self.o.value, "result"), membrane, total),
        ]
        return m


class RampReadout(Component):
    """Narrow codes as a first-spike time: theta times the largest code ramps down to theta.

    The neuron fires at the first tick at which the ramp is not above its excitation; the code is the
    number of ticks left. A neuron that never fires has code 0.

    Latency: the first-spike time, at most ``2**(output_bits - 1) - 1``, and three cycles more.
    Throughput: one membrane at a time. Handshake: none.

    Attributes:
        i: a membrane; only while none is inside.
        o: the membrane with its code.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(_ports(spec))

    def elaborate(self, _platform: object) -> Module:
        """Load, ramp down until the spike, output."""
        m = Module()
        spec = self._spec
        width = excitation_bits(spec)
        excitation = Signal(width, reset_less=True)
        ramp = Signal(width, reset_less=True)
        left = Signal(spec.output_bits - 1)
        held = Signal(ready_layout(spec), reset_less=True)
        m.d.sync += self.o.valid.eq(0)
        with m.FSM():
            with m.State("load"):
                m.d.sync += [
                    held.eq(self.i.value),
                    excitation.eq(_excitation(m, spec, self.i.value)),
                    ramp.eq((self.i.value.theta << (spec.output_bits - 1)) - self.i.value.theta),
                    left.eq(spec.max_output_code),
                ]
                with m.If(self.i.valid):
                    m.next = "ramp"
            with m.State("ramp"):
                with m.If((left == 0) | (excitation >= ramp)):
                    m.next = "fired"
                with m.Else():
                    m.d.sync += [ramp.eq(ramp - held.theta), left.eq(left - 1)]
            with m.State("fired"):
                m.d.sync += [
                    *result_of(self.o.value, held, _signed(m, spec, left, held.membrane[-1])),
                    self.o.valid.eq(1),
                ]
                m.next = "load"
        return m


def result_of(result: data.View, ready: data.View, code: Value) -> list[object]:
    """Assignments of a membrane and its code to a result."""
    return [
        result.membrane.eq(ready.membrane),
        result.code.eq(code),
        result.saturated.eq(ready.saturated),
        result.brief.eq(ready.brief),
    ]


def make_readout(spec: Spec) -> HalvingReadout | RampReadout:
    """The read-out of the spec."""
    return RampReadout(spec) if spec.readout == "ramp" else HalvingReadout(spec)
