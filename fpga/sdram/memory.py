"""Memory upstream of the accelerator: the streamer, the controller, and the queues between their clocks."""

from amaranth.hdl import DomainRenamer, Module, Mux, ResetInserter, Signal
from amaranth.lib import data, stream
from amaranth.lib.fifo import AsyncFIFOBuffered
from amaranth.lib.wiring import Component, In, Out, connect, flipped

from spikequant.fpga.sdram.controller import MOST_UNDER_WAY, SdramController
from spikequant.fpga.sdram.shapes import PinsSignature, RequestLayout, WordLayout
from spikequant.fpga.sdram.streamer import WeightStreamer
from spikequant.fpga.sdram.timing import SdramTiming
from spikequant.rtl.fabric.queue import RegisterStage
from spikequant.rtl.shapes import PacketWord

REQUESTS = 8
"""Depth of the queue of requests between the clocks."""

WORDS = 512
"""Depth of the queue of words for the accelerator: one block RAM."""

ROOM_CYCLES = 4
"""Words that may arrive before ``room`` reflects them."""

MOST_ASKED = 1024
"""Bound on unanswered requests: each of them occupies at least one place in a queue."""

DOMAIN = "memory"
"""Clock domain of the controller and of the pins."""


class WeightMemory(Component):
    """Memory that passes packets of the host to the accelerator and inserts stored rows from an SDRAM.

    The controller, in clock domain ``memory``, is not reset between sessions, so stored data stays. A new session
    discards the words that the old one requested; a write in progress is completed.

    Attributes:
        i: packets from the host.
        o: packets for the accelerator.
        restart: pulses at the beginning of a session.
        busy: a packet is inside.
        pins: pins of ``SdramController``, in domain ``memory``.
    """

    def __init__(self, timing: SdramTiming) -> None:
        self.timing = timing
        super().__init__(
            {
                "i": In(stream.Signature(PacketWord)),
                "o": Out(stream.Signature(PacketWord)),
                "restart": In(1),
                "busy": Out(1),
                "pins": Out(PinsSignature(timing.chip)),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Connect both sides by queues between the clocks, and discard the words that an old session requested."""
        m = Module()
        # the input may come directly from a block RAM, which is slow
        incoming, streamer = RegisterStage(PacketWord), WeightStreamer()
        m.submodules.incoming = ResetInserter(self.restart)(incoming)
        m.submodules.streamer = ResetInserter(self.restart)(streamer)
        connect(m, incoming.o, streamer.i)
        m.submodules.controller = controller = DomainRenamer(DOMAIN)(SdramController(self.timing))
        m.submodules.requests = requests = AsyncFIFOBuffered(
            width=RequestLayout.size, depth=REQUESTS + 1, w_domain="sync", r_domain=DOMAIN
        )
        m.submodules.words = words = AsyncFIFOBuffered(
            width=WordLayout.size, depth=WORDS + 1, w_domain=DOMAIN, r_domain="sync"
        )
        connect(m, controller.pins, flipped(self.pins))

        m.d.comb += [
            incoming.i.payload.eq(self.i.payload),
            incoming.i.valid.eq(self.i.valid & ~self.restart),
            self.i.ready.eq(incoming.i.ready & ~self.restart),
            self.o.payload.eq(streamer.o.payload),
            self.o.valid.eq(streamer.o.valid & ~self.restart),
            streamer.o.ready.eq(self.o.ready & ~self.restart),
            self.busy.eq(incoming.o.valid | streamer.busy),
            requests.w_data.eq(streamer.requests.payload),
            requests.w_en.eq(streamer.requests.valid),
            streamer.requests.ready.eq(requests.w_rdy),
            controller.i.payload.eq(requests.r_data),
            controller.i.valid.eq(requests.r_rdy),
            requests.r_en.eq(controller.i.ready),
            words.w_data.eq(controller.o),
            words.w_en.eq(controller.o_valid),
        ]
        m.d[DOMAIN] += controller.room.eq(words.w_level < WORDS - MOST_UNDER_WAY - ROOM_CYCLES)

        word = data.View(WordLayout, words.r_data)
        # read requests that are not completely answered, and those of them from an old session
        asked, old = Signal(range(MOST_ASKED)), Signal(range(MOST_ASKED))
        asks, ends, remaining = Signal(), Signal(), Signal(range(MOST_ASKED))
        m.d.comb += [
            streamer.words.payload.eq(word),
            streamer.words.valid.eq(words.r_rdy & (old == 0)),
            words.r_en.eq(Mux(old == 0, streamer.words.ready, 1)),
            asks.eq(requests.w_en & requests.w_rdy & ~streamer.requests.payload.write),
            ends.eq(words.r_rdy & words.r_en & word.end),
            remaining.eq(asked + asks - ends),
        ]
        m.d.sync += asked.eq(remaining)
        with m.If(self.restart):
            m.d.sync += old.eq(remaining)
        with m.Elif(ends & (old != 0)):
            m.d.sync += old.eq(old - 1)
        return m
