"""Activation codes in arrival order become a score: spikes in time order."""

from amaranth.hdl import Cat, Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.score import DOUBLINGS
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.encoder.bucket import TOP, Bucket, bucket_count, list_layout
from spikequant.rtl.encoder.collector import PairCollector, buckets_per_pair
from spikequant.rtl.encoder.decoder import STAGES, Decoder
from spikequant.rtl.encoder.score_writer import FETCH_CYCLES, ScoreWriter, steps_layout
from spikequant.rtl.interfaces import BufferEvent, Write
from spikequant.rtl.sequencer import score_write_layout
from spikequant.rtl.shapes import bits_for_index, codes_layout


class Encoder(Component):
    """Sorts the activations of tokens by level, and writes them as scores.

    Input k belongs to lane ``k % lanes``. Codes fill the buckets; then the buckets are walked from the
    highest level down, salient levels first, and each pair of lanes takes up to two inputs a beat from whichever of
    its lanes has some left. An input above the ramp fires at its top more than once. Salient codes without a
    shift run with the normal ones. If the header's ``merged`` is set, salient charges are doubled in place, once for
    each bit of the token's shift, and the normal levels follow in the same phase; else the salient levels are a phase
    of their own, whose charges the neurons shift.

    While one token's lists are walked, the next token's codes come in.

    Latency: at most ``spikequant.rtl.cycles.throughput.SPIKING.made`` cycles more than the walk, from a token's last
    code to its score.
    Throughput: four codes a cycle, and one cycle more for four of which one reaches the ramp's top; a beat a cycle,
    as long as a pair of lanes has inputs in two buckets, and one cycle a level. Between two tokens, codes stall while
    the lists' heads are copied, a cycle a level; three cycles pass from the last beat of one to the first of the
    next, if that is in its lists.
    Handshake: ``i`` is a stream; ``held`` stalls the walk; beats are never refused.

    Attributes:
        i: codes, a word at a time; the first is taken when the buckets are free.
        begins: a token's codes begin to come in, for that buffer.
        held: that token may not be walked yet; valid from the third cycle after ``begins`` on.
        write: beats of the scores.
        made: a score of that buffer is written, and may be read from three cycles later on.
        busy: a score is being made.
        refused: pulses when a code is dropped: it lies beyond the lanes' inputs; it, its zero point or its offset is
            wider than the spec's codes; its level is beyond the spec's largest; or it is salient and the spec has no
            such codes. Pulses, too, when a score does not fit its buffer.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "i": In(stream.Signature(codes_layout())),
                "begins": Out(BufferEvent()),
                "held": In(1),
                "write": Out(Write(score_write_layout(spec))),
                "made": Out(BufferEvent()),
                "busy": Out(1),
                "refused": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Decoder and buckets fill; buckets and collectors walk."""
        m = Module()
        spec = self._spec
        m.submodules.decoder = decoder = Decoder(spec)
        buckets = [Bucket(spec) for _ in range(bucket_count(spec))]
        pairs = [PairCollector(spec) for _ in range(spec.pairs)]
        for number, bucket in enumerate(buckets):
            m.submodules[f"bucket_{number}"] = bucket
            m.d.comb += [
                bucket.list.eq(decoder.list[number]),
                bucket.insert_enable.eq(decoder.insert_enable[number]),
                bucket.insert.eq(decoder.insert[number]),
                bucket.copy.eq(decoder.copy),
            ]
            pair, own = divmod(number, buckets_per_pair(spec))
            m.d.comb += [
                pairs[pair].valid[own].eq(bucket.valid),
                pairs[pair].ended[own].eq(bucket.ended),
                pairs[pair].row[own].eq(bucket.row),
                pairs[pair].sign[own].eq(bucket.sign),
                bucket.take.eq(pairs[pair].take[own]),
            ]
        for number, pair in enumerate(pairs):
            m.submodules[f"pair_{number}"] = pair
        m.d.comb += [decoder.i.payload.eq(self.i.payload), decoder.i.valid.eq(self.i.valid)]
        m.d.comb += self.i.ready.eq(decoder.i.ready)

        walk = _Walk(spec)
        self._hand_over(m, decoder, buckets, walk)
        self._walk(m, buckets, pairs, walk)

        m.submodules.writer = writer = ScoreWriter(spec)
        m.d.comb += [
            writer.fetch.eq(walk.fetch),
            writer.address.eq(Cat(walk.token.address, walk.token.buffer)),
            writer.steps.eq(walk.steps),
            writer.spikes.eq(Cat(pair.spikes.as_value() for pair in pairs)),
        ]
        connect(m, writer.write, flipped(self.write))
        m.d.comb += self.refused.eq(decoder.refused | writer.overflows)
        return m

    def _hand_over(self, m: Module, decoder: Decoder, buckets: list[Bucket], walk: "_Walk") -> None:
        """Pass a token in its lists on to the walk when the walk is free, and admit the next token."""
        spec = self._spec
        bank = Signal()
        filling = Signal()
        filled = Signal()
        some_apart = Signal()
        # after a reset, the lists' heads must be cleared
        copying = Signal(init=1)
        copied = Signal(list_layout(spec))
        free = Signal()
        following = walk.following
        start = Signal()
        starts = Signal()
        start_buckets = Signal()
        going = Cat(bucket.going for bucket in buckets).any()
        m.d.sync += [
            start.eq(filled & ~self.held & ~following.waits & ~going & ~copying & ~start),
            starts.eq(start),
            start_buckets.eq(starts),
        ]
        with m.If(decoder.begins):
            m.d.sync += [decoder.vacant.eq(0), filling.eq(1)]
        with m.If(decoder.done):
            m.d.sync += [filled.eq(1), some_apart.eq(decoder.apart)]
        with m.If(copying):
            m.d.sync += [copied.eq(copied.as_value() + 1), copying.eq(~copied.as_value().all())]
            # the next inputs take some cycles to the lists
            lead = STAGES + 3
            with m.If((copied.level == max(0, spec.ramp - lead)) & copied.normal):
                m.d.sync += free.eq(1)
        # the token walked before has left its bank
        with m.If(free & ~following.waits):
            m.d.sync += [decoder.vacant.eq(1), free.eq(0)]
        with m.If(walk.fetch):
            m.d.sync += following.waits.eq(0)
        with m.If(start):
            header = decoder.header
            m.d.sync += [
                filled.eq(0),
                filling.eq(0),
                copying.eq(1),
                copied.level.eq(TOP),
                copied.normal.eq(~some_apart),
                bank.eq(~bank),
                following.waits.eq(1),
                following.token.shift.eq(header.shift),
                following.token.buffer.eq(header.buffer),
                following.token.address.eq(header.address),
                following.token.merged.eq(header.merged),
                following.token.salient.eq(some_apart),
            ]
        m.d.comb += [decoder.copying.eq(copying), decoder.copied_list.eq(copied)]
        for bucket in buckets:
            m.d.comb += [
                bucket.bank.eq(bank),
                bucket.start.eq(start_buckets),
                bucket.start_normal.eq(~following.token.salient),
            ]
        # beats are written some cycles later
        walked = Signal(FETCH_CYCLES)
        m.d.comb += self.begins.buffer.eq(decoder.header.buffer)
        m.d.sync += [
            self.begins.active.eq(decoder.begins),
            walked.eq(Cat(~walk.idle, walked)),
            self.busy.eq(filling | following.waits | ~walk.idle | walked.any()),
        ]

    def _walk(self, m: Module, buckets: list[Bucket], pairs: list[PairCollector], walk: "_Walk") -> None:
        """Level by level, from the top of each phase down."""
        token, steps = walk.token, walk.steps
        merged = token.salient & token.merged
        # levels are walked; the ends of a phase's last lists are left
        levels = Signal()
        leaves = Signal()
        ended, lowest = Cat(bucket.ended for bucket in buckets).all(), buckets[0].lowest
        over = Signal()
        begin, pause, double, end = (Signal(name=f"walk_{name}") for name in ("begin", "pause", "double", "end"))
        doublings = Signal.like(steps.doublings)
        m.d.comb += [
            over.eq(ended & levels),
            walk.fetch.eq(walk.following.waits & (walk.idle | end)),
            steps.begin.eq(begin),
            steps.complete.eq(Cat(pair.ready for pair in pairs).all() & Cat(pair.some for pair in pairs).any()),
            # the last tick of a phase has no cycle of its own
            steps.tick.eq(over & (~lowest | merged)),
            steps.pause.eq(pause),
            steps.merged.eq(merged),
            steps.double.eq(double),
            steps.doublings.eq(doublings),
            steps.end.eq(end),
        ]
        for bucket in buckets:
            m.d.comb += bucket.descend.eq(ended & ((levels & ~lowest) | leaves))
        for number, pair in enumerate(pairs):
            others = pairs[:number] + pairs[number + 1 :]
            m.d.comb += [
                pair.clear.eq(steps.complete),
                pair.others_ready.eq(Cat(other.ready for other in others).all() if others else 1),
            ]

        last = over & lowest
        # a token's last lists are left at once, those of its salient phase when the next phase begins
        m.d.sync += [
            pause.eq(last & token.salient),
            end.eq(last & ~token.salient),
            leaves.eq(last & ~token.salient),
            begin.eq(0),
            double.eq(0),
        ]
        with m.If(begin):
            m.d.sync += levels.eq(1)
        with m.If(last):
            m.d.sync += levels.eq(0)
        with m.If(pause):
            m.d.sync += [token.salient.eq(0), double.eq(merged), begin.eq(~merged), leaves.eq(~merged)]
        with m.If(double):
            more = doublings > DOUBLINGS
            m.d.sync += [doublings.eq(doublings - DOUBLINGS), double.eq(more), begin.eq(~more), leaves.eq(~more)]
        m.d.sync += [self.made.active.eq(end), self.made.buffer.eq(token.buffer)]
        with m.If(end):
            m.d.sync += walk.idle.eq(1)
        with m.If(walk.fetch):
            following = walk.following.token
            m.d.sync += [token.eq(following), doublings.eq(following.shift), begin.eq(1), walk.idle.eq(0)]


def _token_layout(spec: Spec) -> data.StructLayout:
    """A token to walk: ``salient`` if any input has a salient level."""
    return data.StructLayout(
        {
            "buffer": 1,
            "address": range(spec.score_words),
            "shift": bits_for_index(spec.max_salient_shift + 1),
            "merged": 1,
            "salient": 1,
        }
    )


class _Following:
    """The token that is to be walked next."""

    def __init__(self, spec: Spec) -> None:
        self.waits = Signal(name="following_waits")
        self.token = Signal(_token_layout(spec), name="following_token")


class _Walk:
    """The token that is walked, and the events of its walk; ``salient`` is for the current phase."""

    def __init__(self, spec: Spec) -> None:
        self.following = _Following(spec)
        self.fetch = Signal()
        self.token = Signal(_token_layout(spec), name="walked_token")
        self.idle = Signal(init=1, name="walk_idle")
        self.steps = Signal(steps_layout(spec))
