"""The weights: one memory a lane, read by the row of that lane's spike."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import Component, In, Out

from golden.spec import WORD_BITS, Spec
from rtl.shapes import bits_for_index


def weight_write_layout(spec: Spec) -> data.StructLayout:
    """One stream word of weights and where it goes: ``word`` counts groups of neurons within a row."""
    return data.StructLayout(
        {
            "lane": bits_for_index(spec.lanes),
            "row": bits_for_index(spec.rows),
            "word": bits_for_index(spec.words_per_row),
            "data": WORD_BITS,
        }
    )


class SynapseMemory(Component):
    """Packed weights of all neurons, ``lanes`` rows of them read at once.

    A row is ``words_per_row`` block RAMs wide. The load port writes one word a cycle and may be used
    while other rows are read.

    Latency: ``latency`` cycles from ``fire`` and ``row`` to ``weights``; the outputs of lanes that do
    not fire hold their value.
    """

    latency = 2

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(weight_write_layout(spec)),
                "write_enable": In(1),
                "fire": In(spec.lanes),
                "row": In(data.ArrayLayout(bits_for_index(spec.rows), spec.lanes)),
                "weights": Out(data.ArrayLayout(spec.neurons * spec.weight_bits, spec.lanes)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A simple dual-port memory for each lane and word, with an output register."""
        m = Module()
        for lane in range(self._spec.lanes):
            outputs = []
            for word in range(self._spec.words_per_row):
                memory = Memory(shape=WORD_BITS, depth=self._spec.rows, init=[])
                m.submodules[f"lane_{lane}_word_{word}"] = memory
                load = memory.write_port()
                read = memory.read_port()
                m.d.comb += [
                    load.addr.eq(self.write.row),
                    load.data.eq(self.write.data),
                    load.en.eq(self.write_enable & (self.write.lane == lane) & (self.write.word == word)),
                    read.addr.eq(self.row[lane]),
                    read.en.eq(self.fire[lane]),
                ]
                output = Signal(WORD_BITS, name=f"weights_{lane}_{word}", reset_less=True)
                m.d.sync += output.eq(read.data)
                outputs.append(output)
            m.d.comb += self.weights[lane].eq(Cat(outputs))
        return m
