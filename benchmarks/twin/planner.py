"""The planner cuts runs into segments: rows that are fed in order, and what follows them."""

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out

from spikequant.benchmarks.twin.buffers import place_bits, token_layout, token_place_bits, token_write_layout
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.fabric.memory import BlockMemory
from spikequant.rtl.interfaces import Write
from spikequant.rtl.shapes import Half, bits_for_index, phase_layout, run_layout

TOKEN_CYCLES = 2
"""Cycles from a token's place to its descriptor."""

PATIENCE = 15
"""Cycles for which the array waits for low halves that would join the preceding high ones."""


def segment_layout(spec: Spec) -> data.StructLayout:
    """Rows of one run.

    ``place``: place of the token. ``first_row``: row of its weights. ``last``: index of the last row, or, if
    ``listed``, of the last place in the list of rows. ``salient``, ``normal``: the levels that count. ``low``: low
    halves that add to high ones. ``doublings``: of the charges, after the rows. ``ends``: a phase ends with the last
    row, and ``phase`` is the destination of its charges. ``done``: it is the run's last segment.
    """
    flags = dict.fromkeys(("listed", "salient", "normal", "low", "ends", "done"), 1)
    return data.StructLayout(
        {
            "place": place_bits(spec),
            "first_row": bits_for_index(spec.memory_rows),
            "last": bits_for_index(spec.lane_rows),
            "doublings": max(spec.max_salient_shift, spec.weight_bits).bit_length(),
            **flags,
            "phase": phase_layout(spec),
        }
    )


class MacPlanner(Component):
    """Stores the descriptors of tokens, and makes one or two segments of a run.

    A token whose salient levels have a shift begins with the rows that have any: these levels alone are fed, and the
    charges are doubled once for each bit of the shift; if they have no room for that, the salient levels are a phase of
    their own, which the neurons shift. If a run of low halves of the same slot follows a run of high halves, and both
    have room, they are one phase: in between, the charges are doubled once for each bit of a weight, less the doublings
    after the low halves' own salient levels.

    Latency: five cycles from a run to its first segment, hidden by previous runs of a few rows.
    Throughput: a segment every second cycle.
    Handshake: streams; descriptors are never refused.

    Attributes:
        write: a token's descriptor.
        runs: tokens to run, in order.
        o: segments.
        idle: no run is queued or in progress.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "write": In(Write(token_write_layout(spec))),
                "runs": In(stream.Signature(run_layout(spec))),
                "o": Out(stream.Signature(segment_layout(spec))),
                "idle": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """The next run with its token, and the segments of the current run."""
        m = Module()
        spec = self._spec
        coming = Signal(run_layout(spec))
        waiting = Signal()
        known = Signal(TOKEN_CYCLES + 1)
        run = Signal(run_layout(spec))
        token = Signal(token_layout(spec))
        active, listing = Signal(), Signal()
        # the current phase is the membrane's first one; the run's charges add to those of the previous run
        first, adds = Signal(), Signal()
        load = Signal()

        m.submodules.tokens = tokens = BlockMemory(shape=token_layout(spec), depth=1 << token_place_bits(spec))
        m.d.comb += [
            tokens.write.address.eq(self.write.data.place),
            tokens.write.data.eq(self.write.data.token),
            tokens.write.enable.eq(self.write.enable),
            tokens.address.eq(_place(spec, coming)[place_bits(spec) - token_place_bits(spec) :]),
            self.runs.ready.eq(~waiting),
        ]
        m.d.sync += known.eq(Cat(waiting, known))
        with m.If(load):
            m.d.sync += [waiting.eq(0), known.eq(0)]
        with m.If(~waiting):
            m.d.sync += [waiting.eq(self.runs.valid), coming.eq(self.runs.payload)]
        following = tokens.output

        segment = Signal(segment_layout(spec))
        emit, last = Signal(), Signal()
        decided, joins, doublings = self._decide(
            m, run, coming, following, load=load, active=active, waiting=waiting, known=known
        )
        m.d.comb += [
            emit.eq(active & ~self.o.valid & (listing | decided)),
            last.eq(emit & ~listing),
            load.eq((~active | last) & known[-1]),
            segment.place.eq(_place(spec, run)),
            segment.first_row.eq(run.first_row),
            segment.last.eq(Mux(listing, token.last_listed, token.last_row)),
            segment.listed.eq(listing),
            segment.salient.eq(listing | ~token.listed),
            segment.normal.eq(~listing),
            segment.low.eq(adds),
            segment.doublings.eq(Mux(listing, Mux(token.merged, run.shift, 0), Mux(joins, doublings, 0))),
            segment.ends.eq(Mux(listing, ~token.merged, ~joins)),
            segment.done.eq(~listing),
            segment.phase.slot.eq(run.slot),
            segment.phase.shift.eq(
                Mux(run.half == Half.HIGH, spec.weight_bits, 0) + Mux(listing & ~token.merged, run.shift, 0)
            ),
            segment.phase.first.eq(first),
            segment.phase.brief.eq(run.brief),
            segment.phase.last.eq(run.last & ~listing),
            segment.phase.low.eq((run.half == Half.LOW) & ~adds),
        ]
        with m.If(self.o.ready):
            m.d.sync += self.o.valid.eq(0)
        with m.If(emit):
            m.d.sync += [self.o.valid.eq(1), self.o.payload.eq(segment), listing.eq(0)]
            with m.If(segment.ends):
                m.d.sync += first.eq(0)
        with m.If(last):
            m.d.sync += active.eq(0)
        with m.If(load):
            m.d.sync += [
                active.eq(1),
                run.eq(coming),
                token.eq(following),
                listing.eq(following.listed),
                adds.eq(active & joins),
            ]
            with m.If(~(active & joins)):
                m.d.sync += first.eq(coming.first)
        m.d.comb += self.idle.eq(~self.runs.valid & ~waiting & ~active & ~self.o.valid)
        return m

    def _decide(
        self,
        m: Module,
        run: data.View,
        coming: data.View,
        following: data.View,
        *,
        load: Value,
        active: Value,
        waiting: Value,
        known: Value,
    ) -> tuple[Signal, Signal, Signal]:
        """Whether the next run's low halves add to this one's high ones.

        Returns:
            Whether that is decided, whether they do, and how often the charges are doubled before.
        """
        spec = self._spec
        may_join, fits, decided, joins = (Signal(name=name) for name in ("may_join", "fits", "decided", "joins"))
        doublings = Signal(range(spec.weight_bits + 1))
        patience = Signal(range(PATIENCE + 1), init=PATIENCE)
        starved = Signal()
        m.d.sync += [
            # for a run that has come, one cycle later
            fits.eq(
                (coming.half == Half.LOW)
                & ~coming.first
                & (coming.slot == run.slot)
                & (coming.shift < spec.weight_bits)
                & following.low_fits
            ),
            doublings.eq(Mux(following.listed, spec.weight_bits - coming.shift, spec.weight_bits)),
            # waiting is free while rows of other runs are fed
            starved.eq(self.o.ready & ~self.o.valid & active & ~waiting),
        ]
        with m.If(starved & patience.any()):
            m.d.sync += patience.eq(patience - 1)
        with m.If(active & ~decided):
            m.d.sync += [
                decided.eq(~may_join | known[-1] | (starved & ~patience.any())),
                joins.eq(may_join & known[-1] & fits),
            ]
        with m.If(load):
            m.d.sync += [
                decided.eq(0),
                joins.eq(0),
                patience.eq(PATIENCE),
                may_join.eq((coming.half == Half.HIGH) & ~coming.last & following.high_fits),
            ]
        return decided, joins, doublings


def _place(spec: Spec, run: data.View) -> Value:
    """Where a run's token begins in a buffer of rows."""
    return Cat(run.address[:-1], Const(0, place_bits(spec) - len(run.address)), run.address[-1])
