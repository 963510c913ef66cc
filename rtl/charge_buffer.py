"""The buffer between array and neurons: charges come in several a cycle, and leave one by one."""

from amaranth.hdl import Array, Cat, Module, Signal
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import GATHERED, Spec
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.interfaces import Flow
from spikequant.rtl.shapes import bits_for_index, charged_layout, gathered_layout

PHASES = 2
"""Phases that the buffer holds."""


class ChargeBuffer(Component):
    """Holds the charges of two phases: one comes in while the other one leaves.

    Latency: ``latency`` cycles from the first charges of a phase to the charge of neuron 0; phases that follow closely
    leave without a gap.
    Throughput: ``GATHERED`` charges a cycle in, one out.
    Handshake: none, the buffer never stalls; its user counts phases by ``read``.

    Attributes:
        i: charges of the neurons ``place``, ``place + neurons / GATHERED`` and so on, in order; what the charges of a
            phase share must hold for ``latency`` cycles after the first ones and after ``read``.
        read: pulses with the last charge of a phase that is read. Until ``latency`` cycles later, only one more phase
            may come in.
        o: charges, neuron 0 first.
    """

    latency = 4

    def __init__(self, spec: Spec, *, distributed: bool = False) -> None:
        self._spec = spec
        self._distributed = distributed
        super().__init__(
            {
                "i": In(Flow(gathered_layout(spec))),
                "read": Out(1),
                "o": Out(Flow(charged_layout(spec))),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A memory of two banks; a row holds the charges that come in together."""
        m = Module()
        spec = self._spec
        rows = spec.neurons // GATHERED
        row_bits = bits_for_index(rows)
        m.submodules.memory = memory = BlockMemory(
            shape=self.i.value.charges.shape(), depth=PHASES << row_bits, distributed=self._distributed
        )
        written = Signal(row_bits)
        written_bank = Signal()
        row = Signal(row_bits)
        part = Signal(range(GATHERED))
        bank = Signal()
        waiting = Signal(range(PHASES + 1))
        comes = Signal()
        reads = Signal()
        at_end = Signal()
        m.d.comb += [
            memory.write.address.eq(Cat(written, written_bank)),
            memory.write.data.eq(self.i.value.charges),
            memory.write.enable.eq(self.i.valid),
            memory.address.eq(Cat(row, bank)),
            comes.eq(self.i.valid & (written == 0)),
            reads.eq(waiting.any()),
            self.read.eq(reads & at_end & (part == GATHERED - 1)),
        ]
        m.d.sync += waiting.eq(waiting + comes - self.read)
        with m.If(self.i.valid):
            m.d.sync += written.eq(written + 1)
            with m.If(written == rows - 1):
                m.d.sync += [written.eq(0), written_bank.eq(~written_bank)]
        with m.If(reads):
            m.d.sync += [row.eq(row + 1), at_end.eq(row == rows - 2)]
            with m.If(at_end):
                m.d.sync += [row.eq(0), part.eq(part + 1)]
        with m.If(self.read):
            m.d.sync += bank.eq(~bank)

        # two cycles of the memory, and one to choose a charge
        valid, first, chosen = reads, reads & (row == 0) & (part == 0), part
        for stage in range(self.latency - 2):
            later = [
                Signal.like(value, name=f"{name}_{stage + 1}")
                for name, value in (("valid", valid), ("first", first), ("chosen", chosen))
            ]
            m.d.sync += [after.eq(value) for after, value in zip(later, (valid, first, chosen), strict=True)]
            valid, first, chosen = later
        leaving = unreset(m, self.o.value, "leaving")
        charges = Array(memory.output[part] for part in range(GATHERED))
        m.d.sync += [self.o.valid.eq(valid), leaving.charge.eq(charges[chosen])]
        with m.If(first):
            m.d.sync += [
                leaving.phase.eq(self.i.value.phase),
                leaving.reference.eq(self.i.value.reference),
                leaving.exceeded.eq(self.i.value.exceeded),
            ]
        return m
