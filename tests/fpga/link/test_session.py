"""The host with faulty boards: a script at the other end of a pseudo-terminal."""

import os
import termios
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import serial

from spikequant.fpga.link.codec import FrameReader, encode_frame
from spikequant.fpga.link.line import LinkError, PortLostError, SerialLine
from spikequant.fpga.link.protocol import MAGIC, VERSION, Control, Hello, Identity, Kind
from spikequant.fpga.link.session import MOST_LOSSES, Patience, Session
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.layouts import pack, unpack

IDENTITY = Identity(name="Echo", digest=0x1234)
PATIENCE = Patience(hello=2.0, silence=1.0, progress=1.0, port=1.0)

Answer = Callable[[dict[str, Any], list[int]], list[bytes]]


def reply(asked: dict[str, Any], kind: int, payload: list[int] | None = None, **changes: int) -> bytes:
    fields = {"session": asked["session"], "acknowledge": 0, "sequence": 0, "limit": 512} | changes
    return encode_frame([*(payload or []), *pack(Control, kind=kind, **fields)])


def hello(asked: dict[str, Any], *, control: dict[str, int] | None = None, **changes: int) -> bytes:
    fields = {
        "magic": MAGIC,
        "version": VERSION,
        "name": IDENTITY.name_bits,
        "digest": IDENTITY.digest,
        "buffer_words": 512,
    }
    return reply(asked, Kind.HELLO, pack(Hello, **(fields | changes)), **(control or {}))


class Peer:
    """Answers each frame of the host by a script."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._master, self._slave = os.openpty()
        self.port = os.ttyname(self._slave)
        self.asked: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        reader = FrameReader(max_words=200)
        while True:
            try:
                received = os.read(self._master, 4096)
                for frame in reader.feed(received):
                    assert frame is not None
                    control = unpack(Control, frame[-2:])
                    self.asked.append(control)
                    for raw in self._answer(control, frame[:-2]):
                        os.write(self._master, raw)
            except OSError:
                return

    def close(self) -> None:
        # nobody holds the other end now, so that the thread's reading fails
        os.close(self._slave)
        self._thread.join()
        os.close(self._master)


@pytest.fixture
def session_with() -> Iterator[Callable[[Answer], tuple[Peer, Session]]]:
    open_things: list[Any] = []

    def make(answer: Answer) -> tuple[Peer, Session]:
        peer = Peer(answer)
        open_things.append(peer)
        line = SerialLine(peer.port, 1_000_000)
        open_things.append(line)
        return peer, Session(line, IDENTITY, patience=PATIENCE)

    yield make
    for thing in reversed(open_things):
        thing.close()


SessionWith = Callable[[Answer], tuple[Peer, Session]]


def test_another_version_is_refused_whatever_else_it_says(session_with: SessionWith) -> None:
    with pytest.raises(InputError, match=r"^port .*: the board has protocol version 7, expected 2$"):
        session_with(lambda asked, _: [reply(asked, Kind.HELLO, [7 << 16 | MAGIC])])


def test_a_loopback_is_named(session_with: SessionWith) -> None:
    joined = r"^port .*: the host's own HELLO came back: the line's ends are joined \(loopback\), expected a board$"
    with pytest.raises(InputError, match=joined):
        session_with(lambda asked, payload: [encode_frame([*payload, *pack(Control, **asked)])])


def test_a_session_number_that_is_taken_is_drawn_again(session_with: SessionWith) -> None:
    tries: list[int] = []

    def answer(asked: dict[str, Any], _payload: list[int]) -> list[bytes]:
        tries.append(asked["session"])
        return [hello(asked, control={"acknowledge": 9 if len(tries) == 1 else 0})]

    session_with(answer)
    assert len(set(tries)) == 2
    assert 0 not in tries


def test_noise_and_frames_of_other_sessions_before_the_answer_are_passed_over(session_with: SessionWith) -> None:
    def answer(asked: dict[str, Any], _payload: list[int]) -> list[bytes]:
        other = asked | {"session": asked["session"] ^ 1}
        return [b"\xc0\x01\x02\xdb\xdb", reply(other, Kind.DATA, [1, 2, 3], last=1), hello(other), hello(asked)]

    _, session = session_with(answer)
    assert session.hello["buffer_words"] == 512


@pytest.mark.parametrize(
    ("frames", "expected"),
    [
        ([{"kind": Kind.STATE, "acknowledge": 99}], "the board claims words that were never sent"),
        ([{"kind": Kind.STATE, "session": 0}], "the board restarted during the session"),
        (
            [
                {"kind": Kind.DATA, "payload": [4, 5], "last": 1},
                {"kind": Kind.DATA, "payload": [6], "last": 1, "acknowledge": 3, "sequence": 2},
            ],
            "the board sent more than the 1 packets expected of it",
        ),
    ],
)
def test_a_board_that_breaks_the_protocol_is_an_error(
    session_with: SessionWith, frames: list[dict[str, Any]], expected: str
) -> None:
    def answer(asked: dict[str, Any], _payload: list[int]) -> list[bytes]:
        if asked["kind"] == Kind.HELLO:
            return [hello(asked)]
        if asked["kind"] == Kind.DATA:
            return [b"".join(reply(asked, **frame) for frame in frames)]
        return []

    _, session = session_with(answer)
    with pytest.raises(LinkError, match=expected):
        session.exchange([np.array([1, 2, 3], np.uint32)], results=1)


def listening(asked: dict[str, Any], _payload: list[int]) -> list[bytes]:
    """A board that takes three words, and never sends any."""
    if asked["kind"] == Kind.HELLO:
        return [hello(asked)]
    return [reply(asked, Kind.STATE, acknowledge=3)]


def test_a_session_ends_with_its_first_error(session_with: SessionWith) -> None:
    """The board may still have words of the run that ended, or send its results."""
    _, session = session_with(listening)
    with pytest.raises(LinkError, match="accepted and sent no word for 1 s"):
        session.exchange([np.array([1, 2, 3], np.uint32)], results=1)
    ended = r"^port .*: an earlier error ended the session, expected a new one$"
    with pytest.raises(LinkError, match=ended):
        session.exchange([], results=0)
    with pytest.raises(LinkError, match=ended):
        session.health()


def test_an_interrupt_ends_the_session_too(session_with: SessionWith) -> None:
    def answer(asked: dict[str, Any], _payload: list[int]) -> list[bytes]:
        if asked["kind"] == Kind.HELLO:
            return [hello(asked)]
        return [reply(asked, Kind.DATA, [9], last=1, acknowledge=3)] if asked["kind"] == Kind.DATA else []

    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    _, session = session_with(answer)
    with pytest.raises(KeyboardInterrupt):
        session.exchange([np.array([1, 2, 3], np.uint32)], results=2, progress=interrupt)
    with pytest.raises(LinkError, match="an earlier error ended the session"):
        session.exchange([], results=1)


def test_a_board_that_sends_without_end_is_cut_short(session_with: SessionWith) -> None:
    """It acknowledges nothing, but keeps sending unrequested words."""
    for last in (1, 0):
        sent = 0

        def answer(asked: dict[str, Any], _payload: list[int], last: int = last) -> list[bytes]:
            nonlocal sent
            if asked["kind"] == Kind.HELLO:
                return [hello(asked)]
            sent += 1
            return [reply(asked, Kind.DATA, [7] * 128, last=last, sequence=128 * (sent - 1) % 4096)]

        peer, session = session_with(answer)
        with pytest.raises(LinkError, match="the board sent more than the 1 packets expected of it"):
            session.exchange([np.array([1, 2, 3], np.uint32)], results=1)
        assert len(peer.asked) < 2**16 / 128 + 100


def test_a_progress_that_takes_its_time_is_not_the_boards_silence(session_with: SessionWith) -> None:
    def answer(asked: dict[str, Any], _payload: list[int]) -> list[bytes]:
        if asked["kind"] == Kind.HELLO:
            return [hello(asked)]
        sequence = min(asked["acknowledge"], 1)
        return [reply(asked, Kind.DATA, [9], last=1, acknowledge=3, sequence=sequence)]

    _, session = session_with(answer)
    came = session.exchange([np.array([1, 2, 3], np.uint32)], results=2, progress=lambda _: time.sleep(1.5))
    assert len(came) == 2


class FlappingLine(SerialLine):
    """A port that is lost with each frame but a HELLO, and back at once."""

    greeted = False

    def send(self, words: list[int]) -> None:
        if self.greeted:
            raise OSError("gone")
        super().send(words)

    def receive(self) -> Iterator[list[int] | None]:
        for frame in super().receive():
            self.greeted |= frame is not None
            yield frame


def test_a_port_that_is_lost_again_and_again_ends_the_session() -> None:
    peer = Peer(lambda asked, _: [hello(asked)])
    line = FlappingLine(peer.port, 1_000_000)
    session = Session(line, IDENTITY, patience=PATIENCE)
    with pytest.raises(PortLostError, match=r"^port .*: lost 20 times without a frame in between$"):
        session.exchange([np.array([1, 2, 3], np.uint32)], results=1)
    assert line.reopened == MOST_LOSSES
    line.close()
    peer.close()


def test_a_port_that_hangs_up_while_it_is_opened_is_lost_or_cannot_be_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    peer = Peer(lambda asked, _: [hello(asked)])
    line = SerialLine(peer.port, 1_000_000)
    opened = serial.Serial
    hung_up = termios.error(5, "Input/output error")
    failures: list[Exception] = [hung_up, ValueError("custom baud"), OverflowError("baud")]

    def open_or_fail(*arguments: Any, **options: Any) -> Any:
        if failures:
            raise failures.pop()
        return opened(*arguments, **options)

    monkeypatch.setattr(serial, "Serial", open_or_fail)
    line.reopen(5.0)
    assert (line.reopened, failures) == (1, [])
    line.close()
    failures.append(hung_up)
    with pytest.raises(
        InputError, match=r"^port .*: cannot be opened \(Input/output error\), expected a free serial port"
    ):
        SerialLine(peer.port, 1_000_000)
    peer.close()


@pytest.mark.parametrize(
    ("baud", "expected"),
    [(1199, "^baud: 1199 bits a second, expected at least 1200$"), (2**32, "^port .*: cannot be opened ")],
)
def test_a_speed_that_no_line_has_is_refused(baud: int, expected: str) -> None:
    peer = Peer(lambda asked, _: [hello(asked)])
    with pytest.raises(InputError, match=expected):
        SerialLine(peer.port, baud)
    peer.close()


@pytest.mark.parametrize("refusal", [None, ValueError("no such flag"), NotImplementedError()])
def test_a_port_is_opened_in_its_low_latency_mode_if_it_has_one(
    monkeypatch: pytest.MonkeyPatch, refusal: Exception | None
) -> None:
    modes = []

    def set_mode(_port: serial.Serial, mode: bool) -> None:
        modes.append(mode)
        if refusal is not None:
            raise refusal

    monkeypatch.setattr(serial.Serial, "set_low_latency_mode", set_mode)
    master, slave = os.openpty()
    line = SerialLine(os.ttyname(slave), 1_000_000)
    line.send([1])
    assert modes == [True]
    # two ENDs around a word and its check
    assert (line.sent, len(os.read(master, 100))) == (10, 10)
    line.close()
    os.close(master)
    os.close(slave)


def test_results_come_together_from_frames_that_are_late_double_and_out_of_order(session_with: SessionWith) -> None:
    def answer(asked: dict[str, Any], _payload: list[int]) -> list[bytes]:
        if asked["kind"] == Kind.HELLO:
            return [hello(asked)]
        parts = [
            {"sequence": 2, "payload": [12], "last": 1},
            {"sequence": 0, "payload": [], "last": 1},
            {"sequence": 0, "payload": [10, 11]},
            {"sequence": 0, "payload": [10, 11]},
            {"sequence": 2, "payload": [12], "last": 1},
        ]
        return [reply(asked, Kind.DATA, acknowledge=3, **part) for part in parts]

    peer, session = session_with(answer)
    came = session.exchange([np.array([1, 2, 3], np.uint32)], results=1)
    assert [packet.tolist() for packet in came] == [[10, 11, 12]]
    for _ in range(100):
        if peer.asked[-1]["acknowledge"] == 3:
            assert any(asked["again"] for asked in peer.asked)
            return
        time.sleep(0.02)
    raise AssertionError("the host did not acknowledge the last words")


def test_words_that_the_board_asks_for_again_are_sent_again_from_there(session_with: SessionWith) -> None:
    taken: list[int] = []
    lengths: list[int] = []

    def answer(asked: dict[str, Any], payload: list[int]) -> list[bytes]:
        if asked["kind"] == Kind.HELLO:
            return [hello(asked, control={"limit": 8})]
        lengths.append(len(payload))
        if asked["kind"] == Kind.DATA and asked["sequence"] == len(taken):
            taken.extend(payload[:3])
        return [reply(asked, Kind.STATE, acknowledge=len(taken), limit=len(taken) + 8, again=len(payload) > 3)]

    _, session = session_with(answer)
    session.exchange([np.arange(20, dtype=np.uint32)], results=0)
    assert taken == list(range(20))
    # never more than the board has room for
    assert max(lengths) <= 8
