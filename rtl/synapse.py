"""The weights: one memory for every pair of lanes, which reads the rows of both lanes' spikes."""

from amaranth.hdl import Module, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec
from rtl.memory import BlockMemory, PairMemory
from rtl.shapes import bits_for_index


def row_write_layout(spec: Spec) -> data.StructLayout:
    """One input's weights for all neurons, and where they go."""
    return data.StructLayout(
        {
            "pair": bits_for_index(spec.pairs),
            "row": bits_for_index(spec.memory_rows),
            "weights": spec.neurons * spec.weight_bits,
        }
    )


class SynapseMemory(Component):
    """Packed weights of all neurons, ``lanes`` rows of them read at once.

    The two lanes of a pair share a memory, and either may read any of its rows. Row 0 holds zeros: a lane
    without a spike reads it. The load port takes a lane's place, so no spikes may fire meanwhile.

    Latency: ``latency`` cycles from ``row`` to ``weights``.
    """

    latency = 2

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(row_write_layout(spec)),
                "write_enable": In(1),
                "row": In(data.ArrayLayout(bits_for_index(spec.memory_rows), spec.lanes)),
                "weights": Out(data.ArrayLayout(spec.neurons * spec.weight_bits, spec.lanes)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A memory a pair; a single lane has one to itself."""
        m = Module()
        spec = self._spec
        bits = spec.neurons * spec.weight_bits
        for pair in range(spec.pairs):
            write = Signal(name=f"write_{pair}")
            m.d.comb += write.eq(self.write_enable & (self.write.pair == pair))
            if spec.lanes == 1:
                m.submodules.memory = single = BlockMemory(shape=bits, depth=spec.memory_rows)
                m.d.comb += [
                    single.write_address.eq(self.write.row),
                    single.write_data.eq(self.write.weights),
                    single.write_enable.eq(write),
                    single.address.eq(self.row[0]),
                    self.weights[0].eq(single.output),
                ]
                continue
            m.submodules[f"memory_{pair}"] = memory = PairMemory(bits=bits, depth=spec.memory_rows)
            m.d.comb += [memory.write_data.eq(self.write.weights), memory.write_enable.eq(write)]
            for port in range(2):
                lane = 2 * pair + port
                m.d.comb += [
                    memory.address[port].eq(self.row[lane]),
                    self.weights[lane].eq(memory.output[port]),
                ]
            with m.If(write):
                m.d.comb += memory.address[0].eq(self.write.row)
        return m
