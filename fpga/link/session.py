"""The host's end of the protocol: a session with a board, in which every packet arrives once and in order."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import SystemRandom
from typing import Any

import numpy as np

from spikequant.fpga.link.line import LinkError, PortLostError, SerialLine
from spikequant.fpga.link.outgoing import Outgoing
from spikequant.fpga.link.protocol import (
    CONTROL_WORDS,
    HELLO_WORDS,
    KILOCYCLE,
    MAGIC,
    POSITION_BITS,
    VERSION,
    Control,
    Hello,
    Identity,
    Kind,
)
from spikequant.fpga.link.retransmit_timer import Pace
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.layouts import pack, unpack
from spikequant.rtl.driver.packets import Words

FRAMES_AHEAD = 4
"""Frames of the present length that are sent before the first is acknowledged."""

LONGEST_PACKET = 2**16
"""Words beyond which what a board sends is no packet; a RESULT of the largest array has fewer."""

MOST_LOSSES = 20
"""Times that a port may be lost without a frame in between."""

HELLO_SECONDS, HELLO_BITS = 0.1, 2000
"""Seconds, and on a slow line bits, after which a HELLO is sent again; an answer may come later all the same."""


@dataclass(frozen=True)
class Patience:
    """How long the host waits, in seconds.

    Attributes:
        hello: for a board that answers.
        silence: for anything that is no noise, in a session.
        progress: for a word that is new, while the board does answer.
        port: for a port that was lost.
    """

    hello: float = 5.0
    silence: float = 10.0
    progress: float = 60.0
    port: float = 10.0


@dataclass(frozen=True)
class Health:
    """What host and board have counted.

    Attributes:
        board_damaged, board_refused, board_overruns: frames that the board dropped since power-up.
        host_damaged: damaged frames from the board.
        resent: times that the host went back.
        asked_again: times that it asked the board to go back.
        reopened: times that the port was lost and found again.
        cycles: clock cycles since the session began, give or take 1,024.
    """

    board_damaged: int
    board_refused: int
    board_overruns: int
    host_damaged: int
    resent: int
    asked_again: int
    reopened: int
    cycles: int


def _ahead(base: int, position: int) -> int:
    """The position at or behind ``base`` that the line's short one stands for."""
    return base + (position - base) % 2**POSITION_BITS


class Session:
    """A conversation with one board over one port.

    An error, or an interrupt, leaves it open which words the board still has and which results it will send. So it
    ends the session: whoever goes on with it is refused, and opens another.

    Attributes:
        hello: what the board last said of itself.
    """

    def __init__(self, line: SerialLine, identity: Identity, *, patience: Patience | None = None) -> None:
        """Greet the board and make sure that it is the right one.

        Raises:
            InputError: the board holds another design, or speaks another version.
            LinkError: nobody answers.
        """
        self._line = line
        self._patience = patience or Patience()
        self._session = 0
        self._ended = False
        self._excused = 0.0
        self._losses = 0
        self._resent = self._asked_again = 0
        self._forget()
        self.hello = self._greet()
        self._check(identity)

    def _forget(self) -> None:
        """Begin at position 0 both ways."""
        now = self._now()
        self._sent = self._highest = self._acknowledged = self._limit = self._received = 0
        self._pace = Pace()
        self._moved_up = self._moved_down = self._heard = now
        self._went_back = self._asked = (-1, now)

    def _now(self) -> float:
        """Seconds, but for those that are excused: no patience is lost in them."""
        return time.monotonic() - self._excused

    @contextmanager
    def _excuse(self) -> Iterator[None]:
        """A block in which nobody waits for the board."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._excused += time.monotonic() - began

    def _reopen(self) -> None:
        """Open a lost port again.

        Raises:
            PortLostError: it does not come back, or is lost again and again.
        """
        self._losses += 1
        if self._losses > MOST_LOSSES:
            raise PortLostError(f"port {self._line.port}: lost {MOST_LOSSES} times, and nothing came in between")
        with self._excuse():
            self._line.reopen(self._patience.port)

    def _hear(self) -> None:
        """A whole frame of this session has come."""
        self._heard = self._now()
        self._losses = 0

    def end(self) -> None:
        """Nothing more is said in this session."""
        self._ended = True

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """What is said in one go; where it ends early, so does the session.

        Raises:
            LinkError: it has ended.
        """
        if self._ended:
            raise LinkError(f"port {self._line.port}: an earlier error ended the session, expected a new one")
        self._ended = True
        yield
        self._ended = False

    def _greet(self) -> dict[str, Any]:
        random = SystemRandom()
        deadline = self._now() + self._patience.hello
        while self._now() < deadline:
            self._session = self._session or random.randrange(1, 2**16)
            control, hello = self._ask_hello(HELLO_SECONDS + HELLO_BITS / self._line.baud)
            if control is None or hello is None:
                continue
            if not (control["acknowledge"] or control["sequence"]):
                self._limit = control["limit"]
                return hello
            # an older session happens to have the same number
            self._session = 0
        raise LinkError(
            f"port {self._line.port}: no answer at {self._line.baud} bits a second within {self._patience.hello:g} s, "
            "expected a board with a SpikeQuant bitstream"
        )

    def _ask_hello(self, seconds: float) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
        """Send a HELLO and wait for the answer, which noise may have swallowed."""
        deadline = self._now() + seconds
        try:
            self._line.send(self._frame(Kind.HELLO, self._sent))
            while self._now() < deadline:
                for frame in self._line.receive():
                    if frame is None or len(frame) < CONTROL_WORDS:
                        continue
                    control = unpack(Control, frame[-CONTROL_WORDS:])
                    payload = frame[:-CONTROL_WORDS]
                    if (control["kind"], control["session"]) != (Kind.HELLO, self._session):
                        continue
                    if not payload:
                        raise InputError(
                            f"port {self._line.port}: the host's own HELLO came back: the line's ends are joined "
                            "(loopback), expected a board"
                        )
                    if len(payload) != HELLO_WORDS:
                        # only the first word is the same in every version
                        payload = [*payload[:1], *[0] * (HELLO_WORDS - 1)]
                    self._hear()
                    return control, unpack(Hello, payload)
        except OSError:
            self._reopen()
        return None, None

    def _check(self, identity: Identity) -> None:
        hello, port = self.hello, self._line.port
        if hello["magic"] != MAGIC or hello["version"] != VERSION:
            raise InputError(f"port {port}: the board speaks protocol {hello['version']}, expected {VERSION}")
        if (hello["name"], hello["digest"]) != (identity.name_bits, identity.digest):
            name = hello["name"].to_bytes(16, "little").rstrip(b"\0").decode("ascii", "replace")
            raise InputError(
                f"port {port}: the board holds {name} {hello['digest']:016x}, "
                f"expected {identity.name} {identity.digest:016x}: another spec or release made its bitstream"
            )

    def health(self) -> Health:
        """Ask the board for its counters.

        Raises:
            LinkError: it does not answer, or the session has ended.
        """
        with self._whole():
            return self._health()

    def _health(self) -> Health:
        deadline = self._now() + self._patience.silence
        while self._now() < deadline:
            control, hello = self._ask_hello(self._pace.wait)
            if control is not None and hello is not None:
                # a HELLO opens the session anew on a board that has lost it
                if (
                    control["acknowledge"] != self._acknowledged % 2**POSITION_BITS
                    or (hello["kilocycles"] - self.hello["kilocycles"]) % 2**32 >= 2**31
                ):
                    raise self._afresh()
                self.hello = hello
                return Health(
                    board_damaged=hello["damaged"],
                    board_refused=hello["refused"],
                    board_overruns=hello["overruns"],
                    host_damaged=self._line.damaged,
                    resent=self._resent,
                    asked_again=self._asked_again,
                    reopened=self._line.reopened,
                    cycles=hello["kilocycles"] * KILOCYCLE,
                )
        raise self._silent()

    def exchange(
        self, packets: Sequence[Words], *, results: int, progress: Callable[[int], None] = lambda _: None
    ) -> list[Words]:
        """Send packets, and wait until the board has them all and that many packets have come back.

        Args:
            packets: words of each.
            results: packets to wait for.
            progress: told the number of packets that have come back, whenever it grows.

        Raises:
            LinkError: the board fell silent, started afresh or makes no progress, the port is gone for good, or the
                session has ended.
        """
        with self._whole():
            return self._exchange(packets, results, progress)

    def _exchange(self, packets: Sequence[Words], results: int, progress: Callable[[int], None]) -> list[Words]:
        outgoing = Outgoing(packets, self._acknowledged)
        came: list[Words] = []
        part: list[int] = []
        self._moved_up = self._moved_down = self._heard = self._now()
        while len(came) < results or self._acknowledged < outgoing.end:
            known = len(came)
            try:
                self._send_what_fits(outgoing)
                confirm = False
                for frame in self._line.receive():
                    confirm |= self._take(frame, part, came)
                    if len(came) > results or (part and len(came) == results) or len(part) > LONGEST_PACKET:
                        raise LinkError(
                            f"port {self._line.port}: the board sent more than the {results} packets expected of it"
                        )
                if confirm:
                    self._confirm()
                self._repeat_what_is_late()
            except OSError:
                self._reopen()
                self._go_back()
            self._lose_patience(outgoing)
            if len(came) > known:
                with self._excuse():
                    progress(len(came))
        return came

    def _frame(self, kind: int, sequence: int, payload: Sequence[int] = (), **control: int) -> list[int]:
        mask = 2**POSITION_BITS - 1
        fields = {"sequence": sequence & mask, "acknowledge": self._received & mask, "session": self._session}
        return [*payload, *pack(Control, kind=kind, size=self._pace.size, **fields, **control)]

    def _send_what_fits(self, outgoing: Outgoing) -> None:
        # short frames are a sign of loss, and what is on its way is lost with what is before it
        end = min(self._limit, outgoing.end, self._acknowledged + FRAMES_AHEAD * 2**self._pace.size)
        while self._sent < end:
            words, last = outgoing.piece(self._sent, min(2**self._pace.size, end - self._sent))
            self._line.send(self._frame(Kind.DATA, self._sent, words, last=int(last)))
            if self._sent == self._acknowledged:
                self._moved_up = self._now()
            self._sent += len(words)
            self._highest = max(self._highest, self._sent)
            self._pace.sent(self._sent, self._now())

    def _confirm(self, *, again: bool = False) -> None:
        self._line.send(self._frame(Kind.STATE, self._sent, again=int(again)))

    def _take(self, frame: list[int] | None, part: list[int], came: list[Words]) -> bool:
        """Learn from a frame of the board; true if it had words, so that the board should hear of it."""
        if frame is None or len(frame) < CONTROL_WORDS:
            self._pace.lost()
            self._ask_again()
            return False
        control, payload = unpack(Control, frame[-CONTROL_WORDS:]), frame[:-CONTROL_WORDS]
        if control["session"] != self._session:
            raise self._afresh()
        self._hear()
        now = self._heard
        acknowledged = _ahead(self._acknowledged, control["acknowledge"])
        if acknowledged > self._highest:
            raise LinkError(f"port {self._line.port}: the board claims words that were never sent")
        if acknowledged > self._acknowledged:
            self._acknowledged, self._moved_up = acknowledged, now
            # the host may have gone back although they were only late
            self._sent = max(self._sent, acknowledged)
            self._pace.acknowledged(acknowledged, now)
            self._pace.arrived()
        self._limit = max(self._limit, _ahead(acknowledged, control["limit"]))
        if control["again"] and self._sent > self._acknowledged and self._is_due(self._went_back, self._acknowledged):
            self._pace.lost()
            self._go_back()
        if control["kind"] != Kind.DATA or not payload:
            return False
        if control["sequence"] != self._received % 2**POSITION_BITS:
            if _ahead(self._received, control["sequence"]) - self._received < 2 ** (POSITION_BITS - 1):
                self._ask_again()
                return False
            return True
        self._received += len(payload)
        self._moved_down = now
        part += payload
        if control["last"]:
            came.append(np.array(part, np.uint32))
            part.clear()
        self._pace.arrived()
        return True

    def _is_due(self, told: tuple[int, float], position: int) -> bool:
        """Whether a miss at a position is news: what was told of it has had its time."""
        return told[0] != position or self._now() - told[1] > (self._pace.trip or self._pace.wait)

    def _go_back(self) -> None:
        """Send again from the first word that the board has not acknowledged."""
        self._resent += self._sent > self._acknowledged
        self._went_back = (self._acknowledged, self._now())
        self._sent = self._acknowledged
        self._pace.went_back()

    def _ask_again(self) -> None:
        if self._is_due(self._asked, self._received):
            self._asked = (self._received, self._now())
            self._asked_again += 1
            self._confirm(again=True)

    def _lose_patience(self, outgoing: Outgoing) -> None:
        now = self._now()
        if now - self._heard > self._patience.silence:
            raise self._silent()
        if now - max(self._moved_up, self._moved_down) > self._patience.progress:
            raise LinkError(
                f"port {self._line.port}: the board answers, but took and gave no word for "
                f"{self._patience.progress:g} s; {self._acknowledged} of {outgoing.end} words sent"
            )

    def _repeat_what_is_late(self) -> None:
        now, late = self._now(), False
        if self._sent > self._acknowledged and now - max(self._moved_up, self._went_back[1]) > self._pace.wait:
            self._pace.lost()
            self._go_back()
            late = True
        if now - max(self._moved_down, self._asked[1]) > self._pace.wait:
            late |= self._heard < self._asked[1]
            self._asked = (self._received, now)
            self._confirm(again=True)
        if late:
            self._pace.late(self._patience.silence / 4)

    def _afresh(self) -> LinkError:
        return LinkError(
            f"port {self._line.port}: the board started afresh within the session, and what it held is lost"
        )

    def _silent(self) -> LinkError:
        return LinkError(f"port {self._line.port}: the board has been silent for {self._patience.silence:g} s")
