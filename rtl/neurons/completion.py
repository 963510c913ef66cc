"""The queue of complete membranes before the read-out, where they get their biases and thresholds."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import THETA_BITS, Spec
from spikequant.rtl.fabric.carry import ChoosingAdder
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.fabric.queue import BlockQueue
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.interfaces import Flow, Write
from spikequant.rtl.neurons.neuron import parameter_write_layout
from spikequant.rtl.result_queue import waiting_rows
from spikequant.rtl.shapes import bits_for_index, complete_layout, ready_layout


class Completion(Component):
    """Queues membranes, and adds the constants of their neurons as they leave.

    Theta and bias share a memory and are read in alternate cycles. The bias is added in a wider sum, which never
    overflows. A saturated membrane becomes the end of its range.

    Latency: three cycles from ``taken`` to the membrane. Throughput: a membrane a cycle in, one every second cycle out.
    Handshake: ``take`` lets membranes leave; those that come in are never refused.

    Attributes:
        write: constants to store; not in two consecutive cycles, and only while nothing is inside.
        i: complete membranes in the order of the neurons; only while fewer than ``waiting_rows(spec) - 1`` are inside.
        take: another membrane may leave; sampled every second cycle.
        brief: the next membrane belongs to a brief result; valid while there is one.
        taken: a membrane leaves.
        o: a membrane with its bias and its threshold.
    """

    latency = 3

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(Write(parameter_write_layout(spec))),
                "i": In(Flow(complete_layout(spec))),
                "take": In(1),
                "brief": Out(1),
                "taken": Out(1),
                "o": Out(Flow(ready_layout(spec))),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A queue, a memory for thetas and biases, and the adder of the bias."""
        m = Module()
        spec = self._spec
        m.submodules.queue = queue = BlockQueue(complete_layout(spec), depth=waiting_rows(spec))
        connect(m, flipped(self.i), queue.i)
        m.d.comb += self.brief.eq(queue.o.payload.brief)

        m.submodules.constants = constants = BlockMemory(shape=THETA_BITS, depth=2 * spec.neurons)
        bias = Signal(THETA_BITS, reset_less=True)
        neuron = Signal(bits_for_index(spec.neurons), reset_less=True)
        second = Signal()
        m.d.sync += [
            second.eq(self.write.enable),
            neuron.eq(self.write.data.neuron),
            bias.eq(self.write.data.parameters.bias),
        ]
        m.d.comb += [
            constants.write.enable.eq(self.write.enable | second),
            constants.write.address.eq(Mux(second, Cat(1, neuron), Cat(0, self.write.data.neuron))),
            constants.write.data.eq(Mux(second, bias, self.write.data.parameters.theta)),
        ]

        # theta and bias are read in alternate cycles
        turn = Signal()
        leaving = Signal(bits_for_index(spec.neurons))
        held = Signal(complete_layout(spec), reset_less=True)
        valid = Signal()
        theta = Signal(THETA_BITS, reset_less=True)
        m.d.sync += turn.eq(~turn)
        m.d.comb += [
            constants.address.eq(Cat(turn, leaving)),
            self.taken.eq(turn & self.take & queue.o.valid),
            queue.o.ready.eq(self.taken),
        ]
        with m.If(turn):
            m.d.sync += [held.eq(queue.o.payload), valid.eq(self.taken)]
        with m.Else():
            m.d.sync += theta.eq(constants.output)
        with m.If(self.taken):
            m.d.sync += leaving.eq(Mux(leaving == spec.neurons - 1, 0, leaving + 1))

        sign = held.value[-1]
        m.submodules.sum = adder = ChoosingAdder(bits=spec.biased_bits)
        m.d.comb += [
            adder.a.eq(constants.output.as_signed()),
            adder.x.eq(held.value),
            adder.y.eq(Cat((~sign).replicate(spec.membrane_bits - 1), sign).as_signed()),
            adder.second.eq(held.saturated),
        ]
        ready = unreset(m, self.o.value, "ready")
        m.d.sync += self.o.valid.eq(valid & turn)
        with m.If(turn):
            m.d.sync += [
                ready.membrane.eq(adder.total),
                ready.theta.eq(theta),
                ready.saturated.eq(held.saturated),
                ready.brief.eq(held.brief),
            ]
        return m
