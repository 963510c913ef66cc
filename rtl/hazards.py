"""Whose turn it is in the score buffers: runs wait for their scores, and scores for the runs before them."""

from amaranth.hdl import Const, Module, Signal, Value
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.interfaces import BufferEvent

SCORES_IN_THE_MAKING = 3
"""Tokens in the encoder: one comes in, one is in its lists, one is walked."""

NUMBER_BITS = (SCORES_IN_THE_MAKING + 1).bit_length() - 1
"""Width of a score's number, by which it is known among those of its buffer in the making."""

BUFFERS = 2


class BufferTurns(Component):
    """Keeps scores and runs of the same buffer in the order in which their packets came.

    A run may start when all scores are made whose codes came before it; a score may be written when all runs have
    been read that came before its codes. Codes themselves come in meanwhile. Since everything waits for earlier
    packets only, something always goes on.

    Latency: a cycle, but two for ``held``, and none from ``waiting_buffer`` to ``ready``.

    Attributes:
        begins, begins_buffer: a token's codes begin to come in.
        made, made_buffer: a score has been written.
        sent, sent_buffer: a run has come; not before the last word of codes that came earlier.
        read, read_buffer: all of a run's score has been read.
        behind: number of the last score in ``sent_buffer`` whose codes have come.
        waiting_buffer, waiting_behind: where the next run's score is, and its ``behind``, as it was when it came.
        ready: the next run may start.
        held: the score of the last token that began may not be written.
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
                begun[buffer].eq(begun[buffer] + (self.begins.pulse & (self.begins.buffer == buffer))),
                made[buffer].eq(made[buffer] + (self.made.pulse & (self.made.buffer == buffer))),
                unread[buffer].eq(
                    unread[buffer] + (self.sent.pulse & (self.sent.buffer == buffer)) - self._reads(Const(buffer, 1))
                ),
            ]
        m.d.comb += [
            self.behind.eq(_chosen(begun, self.sent.buffer)),
            self.ready.eq(_chosen(made, self.waiting_buffer) == self.waiting_behind),
        ]

        # runs that came before the token that comes in
        before, buffer_of_token = Signal.like(unread[0], name="before"), Signal()
        m.d.sync += [
            before.eq((before - (self._reads(buffer_of_token) & before.any()))[: len(before)]),
            self.held.eq(before.any()),
        ]
        with m.If(self.begins.pulse):
            m.d.sync += [
                before.eq(_chosen(unread, self.begins.buffer) - self._reads(self.begins.buffer)),
                buffer_of_token.eq(self.begins.buffer),
            ]
        return m

    def _reads(self, buffer: Value) -> Value:
        return self.read.pulse & (self.read.buffer == buffer)


def _chosen(of_buffers: list[Signal], buffer: Value) -> Value:
    first, second = of_buffers
    return Value.cast(first ^ ((first ^ second) & buffer.replicate(len(first))))
