"""The threshold: a membrane becomes an output code, by comparing and subtracting alone.

Both forms give ``sign(V') * min(2**(B-1) - 1, (|V'| * 2**F + theta // 2) // theta)``.
"""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Member, Out

from golden.spec import THETA_BITS, Spec
from rtl.shapes import code_layout, ready_layout


def excitation_bits(spec: Spec) -> int:
    """Width of ``|V'| * 2**F + theta // 2`` and of every multiple of theta that it is compared with."""
    scaled = spec.biased_bits + spec.theta_fraction_bits
    return max(scaled, THETA_BITS + spec.output_bits - 1) + 1


def _ports(spec: Spec) -> dict[str, Member]:
    return {
        "i": In(stream.Signature(ready_layout(spec))),
        "o": Out(stream.Signature(code_layout(spec))),
        "busy": Out(1),
    }


class HalvingReadout(Component):
    """Wide codes: theta times each power of two, highest first, is subtracted where it still fits.

    An excitation beyond the largest code passes every comparison, which is the largest code: saturation
    needs no logic of its own.

    Latency: ``output_bits`` cycles. Throughput: a membrane a cycle.

    Attributes:
        i: complete membranes.
        o: the same with their codes.
        busy: a membrane is inside.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(_ports(spec))

    def elaborate(self, _platform: object) -> Module:
        """One stage a bit; the stages move together."""
        m = Module()
        spec = self._spec
        code_bits = spec.output_bits - 1
        stage_layout = data.StructLayout(
            {
                "ready": ready_layout(spec),
                "rest": excitation_bits(spec),
                "magnitude": code_bits,
            }
        )
        move = Signal()
        m.d.comb += [move.eq(~self.o.valid | self.o.ready), self.i.ready.eq(move)]

        stage = Signal(stage_layout, name="excite", reset_less=True)
        valid = Signal(name="excite_valid")
        valids = [self.o.valid, valid]
        incoming = self.i.payload
        negative = incoming.membrane < 0
        scaled = Mux(negative, -incoming.membrane, incoming.membrane) << spec.theta_fraction_bits
        with m.If(move):
            m.d.sync += [
                valid.eq(self.i.valid),
                stage.ready.eq(incoming),
                stage.rest.eq(scaled + (incoming.theta >> 1)),
                stage.magnitude.eq(0),
            ]
        for bit in reversed(range(code_bits)):
            step = Signal(stage_layout, name=f"step_{bit}")
            threshold = Signal(excitation_bits(spec), name=f"threshold_{bit}")
            fires = Signal(name=f"fires_{bit}")
            m.d.comb += [
                threshold.eq(stage.ready.theta << bit),
                fires.eq(stage.rest >= threshold),
                step.ready.eq(stage.ready),
                step.rest.eq(Mux(fires, stage.rest - threshold, stage.rest)),
                step.magnitude.eq(stage.magnitude | (fires << bit)),
            ]
            if bit:
                following = Signal(stage_layout, name=f"stage_{bit}", reset_less=True)
                following_valid = Signal(name=f"stage_{bit}_valid")
                with m.If(move):
                    m.d.sync += [following.eq(step), following_valid.eq(valid)]
                valids.append(following_valid)
                stage, valid = following, following_valid
        with m.If(move):
            m.d.sync += self.o.valid.eq(valid)
            m.d.sync += result_of(self.o.payload, step.ready, step.magnitude)
        m.d.comb += self.busy.eq(Cat(valids).any())
        return m


class RampReadout(Component):
    """Narrow codes as a first-spike time: theta times the largest code ramps down to theta.

    The neuron fires at the first tick at which the ramp is not above its excitation; the code is the
    number of ticks left. One that never fires has code 0.

    Latency: the first-spike time, at most ``2**(output_bits - 1) - 1``, and two cycles more. One membrane at
    a time.

    Attributes:
        i: complete membranes.
        o: the same with their codes.
        busy: a membrane is inside.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(_ports(spec))

    def elaborate(self, _platform: object) -> Module:
        """Load, ramp until the spike, hand over."""
        m = Module()
        spec = self._spec
        width = excitation_bits(spec)
        excitation = Signal(width, reset_less=True)
        ramp = Signal(width, reset_less=True)
        left = Signal(spec.output_bits - 1)
        held = Signal(ready_layout(spec), reset_less=True)
        incoming = self.i.payload
        scaled = Mux(incoming.membrane < 0, -incoming.membrane, incoming.membrane) << spec.theta_fraction_bits
        m.d.comb += self.busy.eq(~self.i.ready)
        with m.FSM():
            with m.State("load"):
                m.d.comb += self.i.ready.eq(1)
                m.d.sync += [
                    held.eq(incoming),
                    excitation.eq(scaled + (incoming.theta >> 1)),
                    ramp.eq((incoming.theta << (spec.output_bits - 1)) - incoming.theta),
                    left.eq(spec.max_output_code),
                ]
                with m.If(self.i.valid):
                    m.next = "ramp"
            with m.State("ramp"):
                with m.If((left == 0) | (excitation >= ramp)):
                    m.d.sync += result_of(self.o.payload, held, left)
                    m.d.sync += self.o.valid.eq(1)
                    m.next = "fired"
                with m.Else():
                    m.d.sync += [ramp.eq(ramp - held.theta), left.eq(left - 1)]
            with m.State("fired"), m.If(self.o.ready):
                m.d.sync += self.o.valid.eq(0)
                m.next = "load"
        return m


def result_of(result: data.View, ready: data.View, magnitude: Signal) -> list[object]:
    """Assignments that complete a membrane with the magnitude of its code."""
    return [
        result.membrane.eq(ready.membrane),
        result.code.eq(Mux(ready.membrane < 0, -magnitude, magnitude)),
        result.saturated.eq(ready.saturated),
        result.slot.eq(ready.slot),
        result.final.eq(ready.final),
    ]


def make_readout(spec: Spec) -> Component:
    """The read-out that the spec asks for."""
    return RampReadout(spec) if spec.readout == "ramp" else HalvingReadout(spec)
