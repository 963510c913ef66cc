"""Host's end of the protocol: a session with a board, in which every packet arrives once and in order."""

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
from spikequant.fpga.link.retransmit_timer import MIN_WAIT, Pace
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.layouts import pack, unpack
from spikequant.rtl.driver.packets import Words

FRAMES_AHEAD = 4
"""Frames of the current size that may be sent before the first is acknowledged."""

LONGEST_PACKET = 2**16
"""Limit of a packet from the board, in words; a RESULT of the largest array is shorter."""

MOST_LOSSES = 20
"""Limit of losses of the port without a frame in between."""

HELLO_SECONDS, HELLO_BITS = 0.1, 2000
"""Interval between HELLOs: seconds, plus a number of bits on a slow line; later answers are accepted, too."""


@dataclass(frozen=True)
class Patience:
    """Time limits of the host, in seconds.

    Attributes:
        answer: for an answer, at least, before something is sent again.
        hello: for the first answer of the board.
        silence: for a whole frame, in a session.
        progress: for a new word, while the board does answer.
        port: for a lost port to come back.
    """

    answer: float = MIN_WAIT
    hello: float = 5.0
    silence: float = 10.0
    progress: float = 60.0
    port: float = 10.0


@dataclass(frozen=True)
class Health:
    """Counters of host and board.

    Attributes:
        board_damaged, board_refused, board_overruns: frames that the board dropped since power-up.
        host_damaged: damaged frames from the board.
        resent: retransmissions by the host.
        asked_again: retransmissions that the host requested.
        reopened: number of times that the port was lost and reopened.
        sent, received: bytes that the host sent and received.
        cycles: clock cycles since the session began, with a resolution of 1,024.
    """

    board_damaged: int
    board_refused: int
    board_overruns: int
    host_damaged: int
    resent: int
    asked_again: int
    reopened: int
    sent: int
    received: int
    cycles: int


def _ahead(base: int, position: int) -> int:
    """The first position from ``base`` on whose low bits are ``position``."""
    return base + (position - base) % 2**POSITION_BITS


class Session:
    """A session with one board over one port.

    After an error or an interrupt, the words in the board and the results to come are unknown. So it ends the session,
    and any further use raises an error; open another session.

    Attributes:
        hello: fields of the board's last ``Hello``.
    """

    def __init__(self, line: SerialLine, identity: Identity, *, patience: Patience | None = None) -> None:
        """Open the session, and check the board's identity.

        Raises:
            InputError: the board holds another design or has another protocol version, or the line is a loopback.
            LinkError: no answer.
        """
        self._line = line
        self._patience = patience or Patience()
        self._session = 0
        self._ended = False
        self._excused = 0.0
        self._losses = 0
        self._resent = self._asked_again = 0
        now = self._now()
        self._sent = self._highest = self._acknowledged = self._limit = self._received = 0
        self._pace = Pace(least=self._patience.answer)
        self._moved_up = self._moved_down = self._heard = now
        self._went_back = self._asked = (-1, now)
        self.hello = self._greet()
        self._check(identity)

    def _error(self, problem: str, kind: type[LinkError] = LinkError) -> LinkError:
        return kind(f"port {self._line.port}: {problem}")

    def _now(self) -> float:
        """Seconds, without those that do not count towards time limits."""
        return time.monotonic() - self._excused

    @contextmanager
    def _excuse(self) -> Iterator[None]:
        """A block whose time does not count towards time limits."""
        began = time.monotonic()
        try:
            yield
        finally:
            self._excused += time.monotonic() - began

    def _reopen(self) -> None:
        """Reopen a lost port.

        Raises:
            PortLostError: it does not come back, or is lost too often.
        """
        self._losses += 1
        if self._losses > MOST_LOSSES:
            raise self._error(f"lost {MOST_LOSSES} times without a frame in between", PortLostError)
        with self._excuse():
            self._line.reopen(self._patience.port)

    def _hear(self) -> None:
        """Note a whole frame of this session."""
        self._heard = self._now()
        self._losses = 0

    def end(self) -> None:
        """End the session."""
        self._ended = True

    @contextmanager
    def _whole(self) -> Iterator[None]:
        """A block after which the session is open only if the block completes.

        Raises:
            LinkError: the session has ended.
        """
        if self._ended:
            raise self._error("an earlier error ended the session, expected a new one")
        self._ended = True
        yield
        self._ended = False

    def _greet(self) -> dict[str, Any]:
        random = SystemRandom()
        deadline = self._now() + self._patience.hello
        while self._now() < deadline:
            self._session = self._session or random.randrange(1, 2**16)
            answer = self._ask_hello(max(HELLO_SECONDS + HELLO_BITS / self._line.baud, self._patience.answer))
            if answer is None:
                continue
            control, hello = answer
            if not (control["acknowledge"] or control["sequence"]):
                self._limit = control["limit"]
                return hello
            # an older session has the same number by chance
            self._session = 0
        raise self._error(
            f"no answer at {self._line.baud} bits a second within {self._patience.hello:g} s, "
            "expected a board with a SpikeQuant bitstream"
        )

    def _ask_hello(self, seconds: float) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """Send a HELLO and wait for the answer: fields of ``Control`` and ``Hello``, or None if none comes."""
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
        return None

    def _check(self, identity: Identity) -> None:
        hello, port = self.hello, self._line.port
        if hello["magic"] != MAGIC or hello["version"] != VERSION:
            raise InputError(f"port {port}: the board has protocol version {hello['version']}, expected {VERSION}")
        if (hello["name"], hello["digest"]) != (identity.name_bits, identity.digest):
            name = hello["name"].to_bytes(16, "little").rstrip(b"\0").decode("ascii", "replace")
            raise InputError(
                f"port {port}: the board holds {name} {hello['digest']:016x}, "
                f"expected {identity.name} {identity.digest:016x}: another spec or release made its bitstream"
            )

    def health(self) -> Health:
        """Read the counters of the board.

        Raises:
            LinkError: no answer, or the session has ended.
        """
        with self._whole():
            return self._health()

    def _health(self) -> Health:
        deadline = self._now() + self._patience.silence
        while self._now() < deadline:
            answer = self._ask_hello(self._pace.wait)
            if answer is not None:
                control, hello = answer
                # on a board that lost the session, the HELLO opened it anew
                if (
                    control["acknowledge"] != self._acknowledged % 2**POSITION_BITS
                    or (hello["kilocycles"] - self.hello["kilocycles"]) % 2**32 >= 2**31
                ):
                    raise self._restarted()
                self.hello = hello
                return Health(
                    board_damaged=hello["damaged"],
                    board_refused=hello["refused"],
                    board_overruns=hello["overruns"],
                    host_damaged=self._line.damaged,
                    resent=self._resent,
                    asked_again=self._asked_again,
                    reopened=self._line.reopened,
                    sent=self._line.sent,
                    received=self._line.received,
                    cycles=hello["kilocycles"] * KILOCYCLE,
                )
        raise self._silent()

    def exchange(
        self, packets: Sequence[Words], *, results: int, progress: Callable[[int], None] = lambda _: None
    ) -> list[Words]:
        """Send packets, and wait until the board has them all and ``results`` packets have been received.

        Args:
            packets: words of each packet.
            results: number of packets to wait for.
            progress: called with the number of packets received, whenever it grows.

        Raises:
            LinkError: the board is silent, restarted or makes no progress, the port is lost, or the session has ended.
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
                        raise self._error(f"the board sent more than the {results} packets expected of it")
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
        # after losses frames are short, and fewer words are in flight: a loss costs all that follow it
        end = min(self._limit, outgoing.end, self._acknowledged + FRAMES_AHEAD * 2**self._pace.size)
        while self._sent < end:
            words, last = outgoing.piece(self._sent, 2**self._pace.size)
            if len(words) > end - self._sent:
                if self._sent > self._acknowledged:
                    # a part of it would be acknowledged as a part, and frames as short would follow for ever
                    break
                words, last = words[: end - self._sent], False
            self._line.send(self._frame(Kind.DATA, self._sent, words, last=int(last)))
            if self._sent == self._acknowledged:
                self._moved_up = self._now()
            self._sent += len(words)
            self._highest = max(self._highest, self._sent)
            self._pace.sent(self._sent, self._now())

    def _confirm(self, *, again: bool = False) -> None:
        self._line.send(self._frame(Kind.STATE, self._sent, again=int(again)))

    def _take(self, frame: list[int] | None, part: list[int], came: list[Words]) -> bool:
        """Process a frame of the board; returns whether it has words to be acknowledged."""
        if frame is None or len(frame) < CONTROL_WORDS:
            self._pace.lost()
            self._ask_again()
            return False
        control, payload = unpack(Control, frame[-CONTROL_WORDS:]), frame[:-CONTROL_WORDS]
        if control["session"] != self._session:
            raise self._restarted()
        self._hear()
        now = self._heard
        acknowledged = _ahead(self._acknowledged, control["acknowledge"])
        if acknowledged > self._highest:
            raise self._error("the board claims words that were never sent")
        if acknowledged > self._acknowledged:
            self._acknowledged, self._moved_up = acknowledged, now
            # they may have been late only, and the host already about to resend them
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

    def _is_due(self, last: tuple[int, float], position: int) -> bool:
        """Whether to react to a gap at a position: not within a round trip of the last reaction to it."""
        return last[0] != position or self._now() - last[1] > (self._pace.trip or self._pace.wait)

    def _go_back(self) -> None:
        """Resend from the first word that the board has not acknowledged."""
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
            raise self._error(
                f"the board answers, but accepted and sent no word for {self._patience.progress:g} s; "
                f"{self._acknowledged} of {outgoing.end} words sent"
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

    def _restarted(self) -> LinkError:
        return self._error("the board restarted during the session, and its data is lost")

    def _silent(self) -> LinkError:
        return self._error(f"the board has been silent for {self._patience.silence:g} s")
