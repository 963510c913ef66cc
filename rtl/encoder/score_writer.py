"""The score writer: the steps of a walk through a token's levels become the words of its score."""

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.lib.wiring import Component, In, Out

from spikequant.golden.layer.score import DOUBLINGS
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.registers import unreset
from spikequant.rtl.interfaces import Write
from spikequant.rtl.sequencer import score_write_layout
from spikequant.rtl.shapes import Behind, beat_layout, bits_for_index, idle_place, score_address_bits

FETCH_CYCLES = 2
"""Cycles from the begin of a token to the address of its score."""


def steps_layout(spec: Spec) -> data.StructLayout:
    """Events in one cycle of a walk.

    ``begin``: a phase begins.
    ``complete``: a beat has all of its spikes.
    ``tick``: a level is over, and its tick takes a cycle.
    ``pause``: the salient phase is over; ``merged`` if its charges are doubled in place, ``doublings`` times.
    ``double``: a beat that doubles; ``doublings`` are left.
    ``end``: the token is over.
    """
    flags = ("begin", "complete", "tick", "pause", "merged", "double", "end")
    return data.StructLayout(dict.fromkeys(flags, 1) | {"doublings": bits_for_index(spec.max_salient_shift + 1)})


class ScoreWriter(Component):
    """Writes a beat once it is known what follows it.

    Latency: three cycles from a step to the beat that it completes. Throughput: a step a cycle. Handshake: none.

    Attributes:
        fetch: a token begins; one cycle later, ``address`` is where its score begins.
        steps: events of the walk.
        spikes: spikes of a beat, one cycle after it is complete.
        write: words of the score.
        overflows: pulses for a word that does not fit the buffer.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "fetch": In(1),
                "address": In(score_address_bits(spec)),
                "steps": In(steps_layout(spec)),
                "spikes": In(beat_layout(spec)["spikes"].shape),
                "write": Out(Write(score_write_layout(spec))),
                "overflows": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """A pending beat that counts its ticks, then registers to the memory."""
        m = Module()
        spec = self._spec
        # a beat without spikes is the reset value, which takes no lookup table
        idle = {"spikes": [{"place": idle_place(spec)}] * spec.lanes}
        pending = Signal(beat_layout(spec), init=idle)
        some = Signal()
        # the events one cycle later, together with the spikes of their beat
        steps = Signal(steps_layout(spec))
        over = Signal()
        behind = Signal(Behind)
        doubling_ticks = Signal(range(DOUBLINGS + 1))
        left = Mux(self.steps.pause, self.steps.doublings, self.steps.doublings - DOUBLINGS)
        m.d.sync += [
            steps.eq(self.steps),
            over.eq(self.steps.end | self.steps.pause),
            behind.eq(Mux(self.steps.end, Behind.END, Mux(self.steps.merged, Behind.DOUBLE, Behind.SHIFTED))),
            doubling_ticks.eq(Mux(left >= DOUBLINGS, DOUBLINGS, 1)),
        ]

        # a beat begins with no ticks, and each further level adds one
        with m.If(steps.complete):
            m.d.sync += [pending.spikes.eq(self.spikes), pending.ticks.eq(steps.tick), some.eq(1)]
        with m.Elif(steps.tick & some):
            m.d.sync += pending.ticks.eq(pending.ticks + 1)
        # the ticks of the next doubling, and no spikes in it
        with m.If(over | steps.double):
            m.d.sync += pending.ticks.eq(doubling_ticks)
        with m.If(steps.begin):
            m.d.sync += [pending.ticks.eq(0), some.eq(0)]
        with m.If(steps.begin | over):
            m.d.sync += pending.spikes.eq(pending.shape().const(idle).spikes)

        emits = Signal()
        beat = Signal(beat_layout(spec), reset_less=True)
        m.d.sync += [
            emits.eq((steps.complete & some) | over | steps.double),
            beat.eq(pending),
            beat.double.eq(steps.double),
        ]
        with m.If(over):
            m.d.sync += beat.behind.eq(behind)

        # one cycle later, its address
        buffer = Signal()
        place = Signal(range(spec.score_words))
        full = Signal()
        fetched = Signal(FETCH_CYCLES)
        write = unreset(m, self.write.data, "written")
        m.d.sync += [
            fetched.eq(Cat(self.fetch, fetched)),
            write.address.eq(Cat(place, buffer)),
            write.beat.eq(beat),
            self.write.enable.eq(emits & ~full),
            self.overflows.eq(emits & full),
        ]
        with m.If(fetched[-1]):
            m.d.sync += [Cat(place, buffer).eq(self.address), full.eq(0)]
        with m.Elif(emits):
            # a score ends at the buffer's last word in any case
            m.d.sync += [place.eq(place + 1), full.eq(full | place.all())]
        return m
