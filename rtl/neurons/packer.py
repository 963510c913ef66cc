"""The result packer: results become words, two for each neuron, or one for several if brief."""

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
"""Depth of the queue of words in block RAM."""

STALE_WORDS = 4
"""Most words that the count of queued words may lag by."""


def words_waiting(spec: Spec, *, results: int, distributed: bool) -> int:
    """Depth of the queue of words.

    Args:
        spec: the cluster.
        results: most results that may still come after there is no more room.
        distributed: the queue is built from lookup tables, so it holds no more than a brief phase and those results.
    """
    if not distributed:
        return WORDS_WAITING
    per_word = codes_per_word(spec)
    need = max(spec.neurons // per_word + results // per_word + 1, 2 * WORDS_PER_RESULT * results)
    return 1 << (need + STALE_WORDS - 1).bit_length()


class ResultPacker(Component):
    """Packs results into words, and queues the words.

    Latency: four cycles from a result to its first word. Throughput: a result every second cycle, a word a cycle.
    Handshake: ``o`` is a stream; results are never refused, their source respects ``room`` and ``room_in_brief``.

    Attributes:
        i: results in the order of the neurons, not in two consecutive cycles.
        o: words.
        room: ``results`` more whole results may come.
        room_in_brief: ``results`` more brief results may come.
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
        """Three registers of which all but one are cleared, which takes no lookup tables to choose between them."""
        m = Module()
        spec = self._spec
        per_word = codes_per_word(spec)
        rows = words_waiting(spec, results=self._results, distributed=self._distributed)
        m.submodules.queue = queue = BlockQueue(result_word_layout(), depth=rows, distributed=self._distributed)
        connect(m, queue.o, flipped(self.o))
        whole_limit = rows - STALE_WORDS - WORDS_PER_RESULT * self._results
        brief_limit = rows - STALE_WORDS - (self._results // per_word + 1)
        if not self._distributed:
            # there is more than enough room, and comparing the top bit takes no lookup table
            whole_limit = brief_limit = rows // 2 - 1
        m.d.sync += [
            self.room.eq(~exceeds(queue.stored, whole_limit)),
            self.room_in_brief.eq(~exceeds(queue.stored, brief_limit)),
        ]

        result = Signal(Result)
        code = Signal(signed(brief_code_bits(spec)))
        m.d.comb += [
            result.membrane.eq(self.i.value.membrane),
            result.code.eq(self.i.value.code),
            result.saturated.eq(self.i.value.saturated),
            code.eq(self.i.value.code),
        ]
        bits = result.as_value()
        whole = self.i.valid & ~self.i.value.brief
        second = Signal()
        third = Signal()
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
        m.d.sync += complete.eq(self.i.valid & self.i.value.brief & place.all())
        with m.If(self.i.valid):
            m.d.sync += [codes.eq(Cat(codes[len(code) :], code)), flags.eq(Cat(flags[1:], self.i.value.saturated))]
        with m.If(self.i.valid & self.i.value.brief):
            m.d.sync += place.eq(place + 1)
        with m.If(whole):
            m.d.sync += codes.eq(0)
        m.d.comb += [
            queue.i.value.data.eq(low | high | codes),
            queue.i.value.flags.eq(flags),
            queue.i.valid.eq(second | third | complete),
        ]
        return m
