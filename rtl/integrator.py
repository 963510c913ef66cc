"""The part of a neuron that runs at full speed: spikes into a current, ticks into a charge."""

from amaranth.hdl import Module, Mux, Signal, signed
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from golden.spec import Spec


class Integrator(Component):
    """Adds up to ``lanes`` signed weights to the current each cycle, and the current to the charge each tick.

    An input that fires at level n stays in the current for n ticks, so the charge ends at the sum of
    ``(u - weight_offset) * n``: a product by addition alone. When the phase ends, the charge moves to a
    snapshot and both accumulators start again from zero; snapshots of neighbouring integrators form a
    shift chain. Overflow is impossible by the widths of the spec.

    Latency: inputs belong to one beat and arrive together. ``loaded`` pulses two cycles after ``end``,
    with the snapshot valid in the following cycle.

    Attributes:
        weights: stored weights of the lanes.
        fire, sign: per lane, add the weight, or subtract it.
        tick: add the current, with this beat's spikes, to the charge.
        end: the phase is over; no lane fires.
        shift: replace the snapshot with ``chain``, the neighbour's.
        snapshot: charge of the last complete phase.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "weights": In(data.ArrayLayout(spec.weight_bits, spec.lanes)),
                "fire": In(spec.lanes),
                "sign": In(spec.lanes),
                "tick": In(1),
                "end": In(1),
                "shift": In(1),
                "chain": In(signed(spec.charge_bits)),
                "snapshot": Out(signed(spec.charge_bits)),
                "loaded": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Sum of the lanes, current, charge, snapshot: a register each."""
        m = Module()
        spec = self._spec
        addends = []
        for lane in range(spec.lanes):
            weight = Signal(signed(spec.weight_bits), name=f"weight_{lane}")
            m.d.comb += weight.eq(self.weights[lane] ^ spec.weight_offset)
            addends.append(Mux(self.fire[lane], Mux(self.sign[lane], -weight, weight), 0))
        while len(addends) > 1:
            addends = [a + b for a, b in zip(addends[::2], addends[1::2], strict=True)]
        lane_sum = Signal(addends[0].shape())
        summed_tick = Signal()
        summed_end = Signal()
        m.d.sync += [lane_sum.eq(addends[0]), summed_tick.eq(self.tick), summed_end.eq(self.end)]

        current = Signal(signed(spec.current_bits))
        current_tick = Signal()
        current_end = Signal()
        m.d.sync += [
            current.eq(Mux(summed_end, 0, current + lane_sum)),
            current_tick.eq(summed_tick),
            current_end.eq(summed_end),
        ]

        charge = Signal(signed(spec.charge_bits))
        with m.If(current_end):
            m.d.sync += [charge.eq(0), self.snapshot.eq(charge)]
        with m.Elif(current_tick):
            m.d.sync += charge.eq(charge + current)
        with m.If(self.shift):
            m.d.sync += self.snapshot.eq(self.chain)
        m.d.comb += self.loaded.eq(current_end)
        return m
