"""The packet writer: a header, words of results, and a trailer of totals."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal, Value
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.fabric.queue import RegisterStage
from spikequant.rtl.packet_sizes import WORDS_PER_RESULT, codes_per_word
from spikequant.rtl.shapes import Operation, PacketWord, ResultHeader, packet_layout, result_word_layout


class PacketWriter(Component):
    """Sends the results of one token and tile in a RESULT packet, cluster by cluster.

    Latency: one cycle. Throughput: a word a cycle, without a gap between packets.
    Handshake: streams.

    Attributes:
        packets: contents of the next packet's header; taken in the cycle after the last word of results or flags, and
            sampled again two cycles later.
        words: results of each cluster.
        beats, spikes: running totals, sampled when their word is made.
        malformed, corrupted: flags of the header, sampled when the header is made; the latter with ``weight_parity``,
            where a header waits for its first word of results, by which time all rows of weights that it depends on
            are checked.
        o: stream words.
    """

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        super().__init__(
            {
                "packets": In(stream.Signature(packet_layout(spec))),
                "words": In(stream.Signature(result_word_layout())).array(spec.clusters),
                "beats": In(WORD_BITS),
                "spikes": In(WORD_BITS),
                "malformed": In(1),
                "o": Out(stream.Signature(PacketWord)),
                **({"corrupted": In(1)} if spec.weight_parity else {}),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """One state for each kind of word; flags are collected while their codes are sent."""
        m = Module()
        spec = self._spec
        brief = self.packets.payload.brief
        # the output is a register, and so is its readiness, which all of the writer waits for
        m.submodules.outgoing = outgoing = RegisterStage(PacketWord)
        connect(m, outgoing.o, flipped(self.o))
        output, offers = outgoing.i.payload, outgoing.i.valid
        free = Signal()
        m.d.comb += free.eq(outgoing.i.ready)
        header = Signal(ResultHeader)
        m.d.comb += [
            header.operation.eq(Operation.RESULT),
            header.malformed.eq(self.malformed),
            header.brief.eq(brief),
            header.slot.eq(self.packets.payload.slot),
        ]
        if spec.weight_parity:
            m.d.comb += header.corrupted.eq(self.corrupted)

        # the cluster that sends, and how many of its words are left
        turn = Signal(spec.clusters, init=1)
        most = WORDS_PER_RESULT * spec.cluster.neurons
        left = Signal(range(most))
        brief_words = spec.cluster.neurons // codes_per_word(spec)
        all_left = Mux(brief, brief_words - 1, most - 1)
        none_left = Signal()
        found = reduce(or_, (turn[number] & words.valid for number, words in enumerate(self.words)))
        begins = self.packets.valid & found if spec.weight_parity else self.packets.valid
        word = (
            reduce(
                or_,
                (
                    Value.cast(words.payload) & turn[number].replicate(len(Value.cast(words.payload)))
                    for number, words in enumerate(self.words)
                ),
            )
            if spec.clusters > 1
            else Value.cast(self.words[0].payload)
        )
        body, tags = word[:WORD_BITS], word[WORD_BITS:]
        take = Signal()
        at_end = Signal()
        flagging = Signal()
        flags = self._flags(m, tags, take=take, advance=flagging)
        flags_left = Signal(range(-(-spec.neurons // WORD_BITS)))

        # a register: all results of the packet are sent
        through = Signal()
        m.d.sync += through.eq(0)
        m.d.comb += self.packets.ready.eq(through)

        def go_to_trailer() -> None:
            m.next = "beats"
            m.d.sync += through.eq(1)

        with m.FSM():
            with m.State("header"):
                m.d.sync += [left.eq(all_left), none_left.eq(brief & (brief_words == 1)), turn.eq(1)]
                m.d.comb += [output.data.eq(header), offers.eq(begins)]
                with m.If(free & begins):
                    m.next = "body"
            with m.State("body"):
                m.d.comb += [take.eq(free & found), at_end.eq(take & none_left)]
                m.d.comb += [words.ready.eq(free & turn[number]) for number, words in enumerate(self.words)]
                m.d.sync += flags_left.eq(-(-spec.neurons // WORD_BITS) - 1)
                m.d.comb += [output.data.eq(body), offers.eq(found)]
                with m.If(take):
                    m.d.sync += [left.eq(left - 1), none_left.eq(left == 1)]
                with m.If(at_end):
                    m.d.sync += [left.eq(all_left), none_left.eq(brief & (brief_words == 1)), turn.eq(turn << 1)]
                    with m.If(turn[-1] & brief):
                        m.next = "flags"
                    with m.If(turn[-1] & ~brief):
                        go_to_trailer()
            with m.State("flags"):
                m.d.comb += [output.data.eq(flags), offers.eq(1), flagging.eq(free)]
                with m.If(free):
                    m.d.sync += flags_left.eq(flags_left - 1)
                    with m.If(~flags_left.any()):
                        go_to_trailer()
            with m.State("beats"):
                m.d.comb += [output.data.eq(self.beats), offers.eq(1)]
                with m.If(free):
                    m.next = "spikes"
            with m.State("spikes"):
                m.d.comb += [output.data.eq(self.spikes), output.last.eq(1), offers.eq(1)]
                if spec.weight_parity:
                    m.d.sync += turn.eq(1)
                with m.If(free):
                    m.next = "header"
        return m

    def _flags(self, m: Module, tags: Value, *, take: Value, advance: Value) -> Value:
        """Collect the flags of the words taken, and return their next word; ``advance`` moves to the following one."""
        per_word = codes_per_word(self._spec)
        flags = Signal(self._spec.neurons, reset_less=True)
        with m.If(take):
            m.d.sync += flags.eq(Cat(flags[per_word:], tags[:per_word]))
        with m.Elif(advance):
            m.d.sync += flags.eq(flags >> WORD_BITS)
        return flags[:WORD_BITS]
