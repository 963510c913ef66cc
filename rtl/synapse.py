"""The synapse memory: one memory for each pair of lanes, which reads the rows of both lanes' spikes."""

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.memory import BlockMemory, PairMemory
from spikequant.rtl.fabric.registers import Replica
from spikequant.rtl.interfaces import Write
from spikequant.rtl.parity import ParityCheck
from spikequant.rtl.shapes import bits_for_index


def row_write_layout(spec: Spec) -> data.StructLayout:
    """One input's weights for all neurons, with their pair of lanes and their row.

    ``parity``: of each stream word of the weights, with ``weight_parity``.
    """
    return data.StructLayout(
        {
            "pair": bits_for_index(spec.pairs),
            "row": bits_for_index(spec.memory_rows),
            "weights": spec.neurons * spec.weight_bits,
            **({"parity": spec.words_per_row} if spec.weight_parity else {}),
        }
    )


class SynapseMemory(Component):
    """Packed weights of all neurons, ``lanes`` rows of them read at once.

    The two lanes of a pair share a memory, and either may read any of its rows. Row 0 holds zeros for lanes without a
    spike. Writing uses the port of a lane, so no spikes may fire meanwhile. With ``weight_parity``, a row has one more
    bit, the parity of its weights, which is checked in each row that is read: block RAMs are 18 bits wide, or 9 or 36,
    and seldom full, so the bit is free unless the weights fill them.

    Latency: ``latency`` cycles from ``row`` to ``weights``. Throughput: a row a lane and cycle. Handshake: none.

    Attributes:
        write: a row to store.
        row: row to read, by lane.
        weights: packed weights of all neurons, by lane.
        corrupted: with ``weight_parity``, pulses some cycles after a row with a wrong parity.
    """

    latency = 3

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(Write(row_write_layout(spec))),
                "row": In(data.ArrayLayout(bits_for_index(spec.memory_rows), spec.lanes)),
                "weights": Out(data.ArrayLayout(spec.neurons * spec.weight_bits, spec.lanes)),
                **({"corrupted": Out(1)} if spec.weight_parity else {}),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A memory for each pair, or for a single lane; whatever drives many block RAMs is registered first."""
        m = Module()
        spec = self._spec
        bits = spec.row_bits
        weights = Signal(bits, reset_less=True)
        written = self.write.data
        m.d.sync += weights.eq(Cat(written.weights, written.parity.xor()) if spec.weight_parity else written.weights)
        found: list[Value] = []
        for pair in range(spec.pairs):
            writes = Signal(name=f"writes_{pair}")
            m.d.comb += writes.eq(self.write.enable & (self.write.data.pair == pair))
            write = self._registered(m, f"write_{pair}", writes)
            lanes = range(pair * spec.pair_lanes, (pair + 1) * spec.pair_lanes)
            rows = [
                Mux(writes, self.write.data.row, self.row[lane]) if lane == lanes[0] else self.row[lane]
                for lane in lanes
            ]
            address = [self._registered(m, f"address_{lane}", row) for lane, row in zip(lanes, rows, strict=True)]
            if spec.lanes == 1:
                m.submodules.memory = single = BlockMemory(shape=bits, depth=spec.memory_rows, zero_rows=1)
                m.d.comb += [
                    single.write.address.eq(address[0]),
                    single.write.data.eq(weights),
                    single.write.enable.eq(write),
                    single.address.eq(address[0]),
                    self.weights[0].eq(single.output),
                ]
                found.append(single.output)
                continue
            m.submodules[f"memory_{pair}"] = memory = PairMemory(bits=bits, depth=spec.memory_rows, zero_rows=1)
            m.d.comb += [memory.write_data.eq(weights), memory.write_enable.eq(write)]
            for port, lane in enumerate(lanes):
                m.d.comb += [memory.address[port].eq(address[port]), self.weights[lane].eq(memory.output[port])]
                found.append(memory.output[port])
        if spec.weight_parity:
            self._check(m, found)
        return m

    def _check(self, m: Module, found: list[Value]) -> None:
        """Check the parity of the rows that leave, except those read during a write, which are undefined."""
        m.submodules.parity = check = ParityCheck(rows=len(found), bits=self._spec.row_bits)
        valid = Signal(self.latency)
        m.d.sync += valid.eq(Cat(~self.write.enable, valid))
        m.d.comb += [check.valid.eq(valid[-1]), self.corrupted.eq(check.failed)]
        m.d.comb += [check.rows[number].eq(row) for number, row in enumerate(found)]

    def _registered(self, m: Module, name: str, value: Value) -> Value:
        """The value one cycle later, in a register that drives this memory alone."""
        m.submodules[name] = copy = Replica(value.shape())
        m.d.comb += copy.i.eq(value)
        return copy.o
