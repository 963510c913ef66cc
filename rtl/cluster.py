"""A cluster: a part of the neurons with their weights, accumulators, membranes and read-out."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.array import SpikingArray
from spikequant.rtl.charge_buffer import ChargeBuffer
from spikequant.rtl.fabric.queue import RegisterStage
from spikequant.rtl.fabric.registers import Replica, unreset
from spikequant.rtl.interfaces import Write
from spikequant.rtl.neurons.neuron import Neurons, parameter_write_layout
from spikequant.rtl.neurons.output_stage import Backend
from spikequant.rtl.neurons.readout import HalvingReadout, make_readout
from spikequant.rtl.shapes import cycle_layout, phase_layout, result_word_layout
from spikequant.rtl.synapse import row_write_layout

MOST_GATED = 512
"""Most neurons for which lookup tables are scarcer than registers on the largest ECP5."""

FEW_CLUSTERS = 2
"""Most clusters for which small memories may take block RAMs instead of lookup tables."""


def is_gated(spec: Spec) -> bool:
    """Whether charges are gathered through registers of their own, which saves lookup tables."""
    return spec.neurons <= MOST_GATED


class Cluster(Component):
    """The neurons from ``number * cluster.neurons`` on: an array and its output stage.

    All clusters get the same inputs, and each registers them.

    Latency: ``settling_cycles(spec)`` from ``read`` until the last membrane of the phase is stored.
    Throughput: a cycle of the array a cycle, a result word a cycle.
    Handshake: ``words`` is a stream; the inputs are never refused, under the rules of ``SpikingArray``.

    Attributes:
        write: a row of the synapse memory, with the weights of all clusters' neurons; only while no spikes fire.
        constants: constants of any neuron; not in two consecutive cycles, and only while the accelerator is idle.
        cycle, phase: what the array does, and where the charges of a phase go that it finishes.
        read: pulses when a phase's charges have left the array's buffer.
        words: words of the results, in order.
        corrupted: with ``weight_parity``, pulses after a row of weights with a wrong parity.
    """

    def __init__(self, spec: Spec, number: int) -> None:
        self._spec = spec
        self._number = number
        super().__init__(
            {
                "write": In(Write(row_write_layout(spec))),
                "constants": In(Write(parameter_write_layout(spec))),
                "cycle": In(cycle_layout(spec)),
                "phase": In(phase_layout(spec)),
                "read": Out(1),
                "words": Out(stream.Signature(result_word_layout())),
                **({"corrupted": Out(1)} if spec.weight_parity else {}),
            }
        )

    @staticmethod
    def settling_cycles(spec: Spec) -> int:
        """Cycles from ``read`` until the last membrane of that phase is stored."""
        return ChargeBuffer.latency + Neurons.latency(spec.cluster)

    def elaborate(self, _platform: object) -> Module:
        """Select this cluster's part of the weights and constants."""
        m = Module()
        part = self._spec.cluster
        alone = self._spec.clusters == 1
        distributed = self._spec.clusters > FEW_CLUSTERS
        m.submodules.array = array = SpikingArray(part, gated=is_gated(self._spec), distributed=distributed)
        cycles = HalvingReadout.latency(part) if part.readout == "halving" else 0
        m.submodules.backend = backend = Backend(
            part, make_readout(part), readout_cycles=cycles, distributed=distributed
        )
        first = self._number * part.neurons
        constants = self._copy(m, "constants", self.constants.data)
        own = constants.neuron - first
        write = unreset(m, backend.write.data, "write_constants")
        bits = slice(first * part.weight_bits, (first + part.neurons) * part.weight_bits)
        m.d.sync += [
            write.neuron.eq(own),
            write.parameters.eq(constants.parameters),
            backend.write.enable.eq(
                self._copy(m, "constants_enable", self.constants.enable, init=0) & (own >= 0) & (own < part.neurons)
            ),
        ]
        m.d.comb += [
            array.cycle.eq(self.cycle),
            array.phase.eq(self.phase),
            array.write.data.pair.eq(self.write.data.pair),
            array.write.data.row.eq(self.write.data.row),
            array.write.data.weights.eq(self.write.data.weights[bits]),
            array.write.enable.eq(self.write.enable),
            self.read.eq(array.read),
        ]
        if part.weight_parity:
            words = slice(first // part.weights_per_word, (first + part.neurons) // part.weights_per_word)
            m.d.comb += [
                array.write.data.parity.eq(self.write.data.parity[words]),
                self.corrupted.eq(array.corrupted),
            ]
        connect(m, array.o, backend.i)
        if alone:
            connect(m, backend.words, flipped(self.words))
        else:
            m.submodules.stage = stage = RegisterStage(result_word_layout())
            connect(m, backend.words, stage.i)
            connect(m, stage.o, flipped(self.words))
        return m

    def _copy(self, m: Module, name: str, value: Any, *, init: int | None = None) -> Any:
        """An input one cycle later, in a register that no other cluster shares."""
        m.submodules[f"{name}_copy"] = copy = Replica(value.shape(), init=init)
        m.d.comb += copy.i.eq(value)
        return copy.o
