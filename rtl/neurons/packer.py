"""Results become words: two for each neuron, or in brief one for a few."""

from amaranth.hdl import Cat, Module, Signal, signed
from amaranth.lib import stream
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.golden.layer.spec import WORD_BITS, Spec
from spikequant.rtl.fabric.carry import exceeds
from spikequant.rtl.fabric.queue import BlockQueue
from spikequant.rtl.interfaces import Flow
from spikequant.rtl.packet_sizes import WORDS_PER_RESULT, brief_code_bits, codes_per_word
from spikequant.rtl.shapes import Result, code_layout, result_word_layout

WORDS_WAITING = 512
"""Words that may wait in block RAM: its rows."""

STALE_WORDS = 4
"""Words by which the count of those that wait may be behind."""


def words_waiting(spec: Spec, *, results: int, distributed: bool) -> int:
    """Rows for the words that wait.

    Args:
        spec: the cluster.
        results: that may still come when there is no more room.
        distributed: in lookup tables, so no more than a whole phase in brief, or what may still come.
    """
    if not distributed:
        return WORDS_WAITING
    per_word = codes_per_word(spec)
    need = max(spec.neurons // per_word + results // per_word + 1, 2 * WORDS_PER_RESULT * results)
    return 1 << (need + STALE_WORDS - 1).bit_length()


class ResultPacker(Component):
    """Packs results into words, and keeps them until they are taken.

    Latency: four cycles from a result to the first of its words, and then a word a cycle.

    Attributes:
        i_valid, i: results in the order of the neurons, not in two cycles that follow each other.
        o: their words.
        room: whether ``results`` more may come, each with all of its figures.
        room_in_brief: the same where they come in brief.
    """

    def __init__(self, spec: Spec, *, results: int, distributed: bool = False) -> None:
        self._spec = spec
        self._results = results
        self._distributed = distributed
        super().__init__(
            {
                "i": In(Flow(code_layout(spec))),
                "o": Out(stream.Signature(result_word_layout())),
                "room": Out(1),
                "room_in_brief": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Three registers of which all but one are cleared, so that no lookup tables choose between them."""
        m = Module()
        spec = self._spec
        per_word = codes_per_word(spec)
        rows = words_waiting(spec, results=self._results, distributed=self._distributed)
        m.submodules.queue = queue = BlockQueue(result_word_layout(), depth=rows, distributed=self._distributed)
        connect(m, queue.o, flipped(self.o))
        whole_limit = rows - STALE_WORDS - WORDS_PER_RESULT * self._results
        brief_limit = rows - STALE_WORDS - (self._results // per_word + 1)
        if not self._distributed:
            # there is more than enough, and a look at the uppermost bit alone costs nothing
            whole_limit = brief_limit = rows // 2 - 1
        m.d.sync += [
            self.room.eq(~exceeds(queue.stored, whole_limit)),
            self.room_in_brief.eq(~exceeds(queue.stored, brief_limit)),
        ]

        result = Signal(Result)
        code = Signal(signed(brief_code_bits(spec)))
        m.d.comb += [
            result.membrane.eq(self.i.payload.membrane),
            result.code.eq(self.i.payload.code),
            result.saturated.eq(self.i.payload.saturated),
            code.eq(self.i.payload.code),
        ]
        bits = result.as_value()
        whole, second, third = self.i.valid & ~self.i.payload.brief, Signal(), Signal()
        low, kept, high, codes = (
            Signal(WORD_BITS, name=name, reset_less=True) for name in ("low", "kept", "high", "codes")
        )
        m.d.sync += [low.eq(bits[:WORD_BITS]), kept.eq(bits[WORD_BITS:]), high.eq(kept)]
        m.d.sync += [second.eq(whole), third.eq(second)]
        with m.If(~whole):
            m.d.sync += low.eq(0)
        with m.If(~second):
            m.d.sync += high.eq(0)
        flags = Signal(per_word, reset_less=True)
        place = Signal(range(per_word))
        complete = Signal()
        m.d.sync += complete.eq(self.i.valid & self.i.payload.brief & place.all())
        with m.If(self.i.valid):
            m.d.sync += [codes.eq(Cat(codes[len(code) :], code)), flags.eq(Cat(flags[1:], self.i.payload.saturated))]
        with m.If(self.i.valid & self.i.payload.brief):
            m.d.sync += place.eq(place + 1)
        with m.If(whole):
            m.d.sync += codes.eq(0)
        m.d.comb += [
            queue.i.payload.data.eq(low | high | codes),
            queue.i.payload.flags.eq(flags),
            queue.i.valid.eq(second | third | complete),
        ]
        return m
