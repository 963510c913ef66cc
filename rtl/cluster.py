"""A part of the neurons with everything of their own: weights, accumulators, membranes, read-out."""

from typing import Any

from amaranth.hdl import Module
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.array import SpikingArray
from spikequant.rtl.charge_buffer import ChargeBuffer
from spikequant.rtl.fabric.carry import Replica, unreset
from spikequant.rtl.fabric.queue import RegisterStage
from spikequant.rtl.interfaces import Write
from spikequant.rtl.neurons.neuron import Neurons, parameter_write_layout
from spikequant.rtl.neurons.output_stage import Backend
from spikequant.rtl.neurons.readout import HalvingReadout, make_readout
from spikequant.rtl.shapes import cycle_layout, phase_layout, result_word_layout
from spikequant.rtl.synapse import row_write_layout

MOST_GATED = 512
"""Neurons up to which lookup tables are scarcer than registers on the largest ECP5."""

FEW_CLUSTERS = 2
"""Clusters up to which block RAMs for small memories are no scarcer than lookup tables."""


def is_gated(spec: Spec) -> bool:
    """Whether charges are gathered through registers of their own, which saves lookup tables."""
    return spec.neurons <= MOST_GATED


class Cluster(Component):
    """Neurons ``number * cluster.neurons`` and on: an array and what is behind it.

    All that comes in is registered in it, since every cluster gets the same.

    Latency: ``settling_cycles(spec)`` from ``read`` until the last membrane of the phase is stored.

    Attributes:
        write, write_enable: a row of all neurons' synapse memory; only while no spikes fire.
        constants, constants_enable: constants of any neuron, not in two cycles that follow each other; only while
            nothing is on its way.
        cycle, phase: what the array does, and what becomes of a phase that it finishes.
        read: pulses when a phase's charges have left the array's buffer.
        words: of the results, in order.
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
            }
        )

    @staticmethod
    def settling_cycles(spec: Spec) -> int:
        """Cycles from ``read`` until the last membrane of that phase is stored."""
        return ChargeBuffer.latency + Neurons.latency(spec.cluster)

    def elaborate(self, _platform: object) -> Module:
        """Its own part of the weights and constants."""
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
        connect(m, array.o, backend.i)
        if alone:
            connect(m, backend.words, flipped(self.words))
        else:
            m.submodules.stage = stage = RegisterStage(result_word_layout())
            connect(m, backend.words, stage.i)
            connect(m, stage.o, flipped(self.words))
        return m

    def _copy(self, m: Module, name: str, value: Any, *, init: int | None = None) -> Any:
        """What comes in a cycle later, in a register that no other cluster shares."""
        m.submodules[f"{name}_copy"] = copy = Replica(value.shape(), init=init)
        m.d.comb += copy.i.eq(value)
        return copy.o
