"""Behind an array of neurons, or one cluster of them: charges become membranes, membranes become words of results."""

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
"""From a result to the packer's room without it."""


class Backend(Component):
    """Neurons, the membranes that wait for their read-out, the read-out, and the words that wait for the writer.

    Throughput: a charge a cycle, a code every second cycle or as the ramp takes, a word a cycle.

    Attributes:
        write: constants to store where ``write_enable``, not in two cycles that follow each other; only while nothing
            is inside.
        i_valid, i: charges; no more membranes than ``packets_waiting`` phases complete may be inside.
        done: the last membrane of a phase has been stored.
        words: of the results, in order.
    """

    def __init__(self, spec: Spec, readout: Component, *, readout_cycles: int, distributed: bool = False) -> None:
        """What to build.

        Args:
            spec: of the neurons, in one cluster.
            readout: takes ``i_valid``, ``i`` and gives ``o_valid``, ``o``.
            readout_cycles: its latency; 0 if it takes one membrane at a time, and any time.
            distributed: small memories are made of lookup tables.
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
        """One behind the other; a membrane leaves its queue when there is room for its words."""
        m = Module()
        spec = self._spec
        results = -(-(Completion.latency + self._readout_cycles + PACKER_CYCLES) // READOUT_CYCLES) + 1
        m.submodules.neurons = neurons = Neurons(spec, distributed=self._distributed)
        m.submodules.completion = completion = Completion(spec)
        m.submodules.readout = readout = self._readout
        m.submodules.packer = packer = ResultPacker(spec, results=results, distributed=self._distributed)
        connect(m, packer.o, flipped(self.words))
        connect(m, flipped(self.write), neurons.write, completion.write)
        connect(m, flipped(self.i), neurons.i)
        connect(m, neurons.o, completion.i)
        connect(m, completion.o, readout.i)
        connect(m, readout.o, packer.i)
        m.d.comb += self.done.eq(neurons.done)
        room = Mux(completion.brief, packer.room_in_brief, packer.room)
        if self._readout_cycles:
            m.d.comb += completion.take.eq(room)
        else:
            alone = Signal(init=1)
            m.d.sync += alone.eq((alone & ~completion.taken) | readout.o.valid)
            m.d.comb += completion.take.eq(room & alone)
        return m
