"""The output stage of a cluster: charges become membranes, and membranes become words of results."""

from amaranth.hdl import Module, Mux, Signal
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.interfaces import Flow, Write
from spikequant.rtl.neurons.completion import Completion
from spikequant.rtl.neurons.neuron import Neurons, parameter_write_layout
from spikequant.rtl.neurons.packer import ResultPacker
from spikequant.rtl.result_queue import READOUT_CYCLES
from spikequant.rtl.shapes import charged_layout, result_word_layout

PACKER_CYCLES = 6
"""Cycles from a result to the packer's ``room`` that accounts for it."""


class Backend(Component):
    """Neurons, queue of membranes, read-out, and queue of result words.

    Latency: ``Neurons.latency`` to the queue of membranes, then ``Completion.latency``, the read-out's latency and
    four cycles to the first word.
    Throughput: a charge a cycle, a code every second cycle or as fast as the ramp, a word a cycle.
    Handshake: ``words`` is a stream; charges are never refused, so no more than ``packets_waiting`` phases that
    complete membranes may be inside.

    Attributes:
        write: constants to store; not in two consecutive cycles, and only while nothing is inside.
        i: charges.
        done: the last membrane of a phase has been stored.
        words: words of the results, in order.
    """

    def __init__(self, spec: Spec, readout: Component, *, readout_cycles: int, distributed: bool = False) -> None:
        """What to build.

        Args:
            spec: the neurons of one cluster.
            readout: component with a flow ``i`` of membranes and a flow ``o`` of results.
            readout_cycles: latency of the read-out; 0 if it varies and one membrane may be inside at a time.
            distributed: build small memories from lookup tables.
        """
        self._spec = spec
        self._readout = readout
        self._readout_cycles = readout_cycles
        self._distributed = distributed
        super().__init__(
            {
                "write": In(Write(parameter_write_layout(spec))),
                "i": In(Flow(charged_layout(spec))),
                "done": Out(1),
                "words": Out(stream.Signature(result_word_layout())),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A chain of components; a membrane leaves its queue when there is room for its words."""
        m = Module()
        spec = self._spec
        results = -(-(Completion.latency + self._readout_cycles + PACKER_CYCLES) // READOUT_CYCLES) + 1
        m.submodules.neurons = neurons = Neurons(spec, distributed=self._distributed)
        m.submodules.completion = completion = Completion(spec)
        m.submodules.readout = readout = self._readout
        m.submodules.packer = packer = ResultPacker(spec, results=results, distributed=self._distributed)
        connect(m, packer.o, flipped(self.words))
        connect(m, flipped(self.write), neurons.write)
        connect(m, flipped(self.write), completion.write)
        connect(m, flipped(self.i), neurons.i)
        m.d.comb += self.done.eq(neurons.done)
        connect(m, neurons.o, completion.i)
        connect(m, completion.o, readout.i)
        connect(m, readout.o, packer.i)
        room = Mux(completion.brief, packer.room_in_brief, packer.room)
        if self._readout_cycles:
            m.d.comb += completion.take.eq(room)
        else:
            alone = Signal(init=1)
            m.d.sync += alone.eq((alone & ~completion.taken) | readout.o.valid)
            m.d.comb += completion.take.eq(room & alone)
        return m
