"""Read and write hazards of the score buffers: runs and scores of a buffer keep the order of their packets."""

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.interfaces import BufferEvent

SCORES_IN_THE_MAKING = 3
"""Tokens in the encoder at most: one comes in, one is in the lists, one is walked."""

NUMBER_BITS = (SCORES_IN_THE_MAKING + 1).bit_length() - 1
"""Width of a score's number, which is unique among the scores of its buffer that are being made."""

BUFFERS = 2


class BufferHazards(Component):
    """Keeps scores and runs of the same buffer in the order in which their packets came.

    A run may start when all scores are written whose codes came before it. A score may be written when all runs are
    read that came before its codes; the codes themselves come in earlier. Packets depend only on earlier packets, so
    this cannot deadlock.

    Latency: one cycle; two to ``held``; none from ``waiting_buffer`` and ``waiting_behind`` to ``ready``.
    Throughput: an event of each kind a cycle. There is no handshake: senders of events respect ``ready`` and ``held``.

    Attributes:
        begins: a token's codes begin to come in, for that buffer.
        made: a score has been written.
        sent: a run has come; not before the last word of codes that came earlier.
        read: all of a run's score has been read.
        behind: number of the last score in the buffer of ``sent`` whose codes have come.
        waiting_buffer, waiting_behind: buffer of the next run, and the ``behind`` of the cycle in which it was sent.
        ready: the next run may start.
        held: the score of the last token that began may not be written yet.
    """

    def __init__(self, *, most_runs: int) -> None:
        """What to build.

        Args:
            most_runs: runs that have come and are not read, at most.
        """
        self._most_runs = most_runs
        super().__init__(
            {
                "begins": In(BufferEvent()),
                "made": In(BufferEvent()),
                "sent": In(BufferEvent()),
                "read": In(BufferEvent()),
                "behind": Out(NUMBER_BITS),
                "waiting_buffer": In(1),
                "waiting_behind": In(NUMBER_BITS),
                "ready": Out(1),
                "held": Out(1),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Counters of scores and runs by buffer, and of the runs before a token."""
        m = Module()
        begun = [Signal(NUMBER_BITS, name=f"begun_{buffer}") for buffer in range(BUFFERS)]
        made = [Signal(NUMBER_BITS, name=f"made_{buffer}") for buffer in range(BUFFERS)]
        unread = [Signal(range(self._most_runs + 1), name=f"unread_{buffer}") for buffer in range(BUFFERS)]
        for buffer in range(BUFFERS):
            m.d.sync += [
                begun[buffer].eq(begun[buffer] + (self.begins.active & (self.begins.buffer == buffer))),
                made[buffer].eq(made[buffer] + (self.made.active & (self.made.buffer == buffer))),
                unread[buffer].eq(
                    unread[buffer] + (self.sent.active & (self.sent.buffer == buffer)) - self._reads(Const(buffer, 1))
                ),
            ]
        m.d.comb += [
            self.behind.eq(_chosen(begun, self.sent.buffer)),
            self.ready.eq(_chosen(made, self.waiting_buffer) == self.waiting_behind),
        ]

        # unread runs that came before the token that comes in
        before = Signal.like(unread[0], name="before")
        buffer_of_token = Signal()
        m.d.sync += [
            before.eq((before - (self._reads(buffer_of_token) & before.any()))[: len(before)]),
            self.held.eq(before.any()),
        ]
        with m.If(self.begins.active):
            m.d.sync += [
                before.eq(_chosen(unread, self.begins.buffer) - self._reads(self.begins.buffer)),
                buffer_of_token.eq(self.begins.buffer),
            ]
        return m

    def _reads(self, buffer: Value) -> Value:
        return self.read.active & (self.read.buffer == buffer)


def _chosen(of_buffers: list[Signal], buffer: Value) -> Value:
    first, second = of_buffers
    return Value.cast(first ^ ((first ^ second) & buffer.replicate(len(first))))
