"""Serial port of the host, for frames; it can be reopened after a loss."""

import contextlib
import os
import termios
import time
from collections.abc import Iterator
from typing import Any

import serial

from spikequant.fpga.link.codec import FrameReader, encode_frame
from spikequant.fpga.link.protocol import CONTROL_WORDS, HELLO_WORDS, MAX_SIZE, MIN_BAUD
from spikequant.golden.support.errors import InputError, SpikeQuantError

LONGEST_FRAME = 2**MAX_SIZE + HELLO_WORDS + CONTROL_WORDS
"""Words of the longest frame."""

POLL_SECONDS = 0.02
"""Timeout of a read; constant, because pyserial configures the port anew for each change."""

OPEN_POLL_SECONDS = 0.05
WRITE_SECONDS = 5.0


class LinkError(SpikeQuantError):
    """The board cannot be reached, or breaks the protocol."""


class PortLostError(LinkError):
    """The port is gone, and did not come back."""


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    """Turn all errors of pyserial about a missing or disconnected port into OSError."""
    try:
        yield
    except termios.error as error:
        raise OSError(*error.args) from None
    except (ValueError, OverflowError) as error:
        raise serial.SerialException(str(error)) from None


def _reason(error: OSError) -> str:
    """The system's message, without the port that pyserial adds."""
    return os.strerror(error.errno) if error.errno else str(error)


class SerialLine:
    """Host's end of the line.

    Attributes:
        port: name of the port.
        baud: bits a second.
        damaged: number of damaged frames received.
        sent, received: number of bytes sent and received.
        reopened: number of times that the port was lost and reopened.
    """

    def __init__(self, port: str, baud: int) -> None:
        """Open the port exclusively.

        Raises:
            InputError: it cannot be opened, or the speed is less than ``MIN_BAUD``.
        """
        if baud < MIN_BAUD:
            raise InputError(f"baud: {baud} bits a second, expected at least {MIN_BAUD}")
        self.port, self.baud = port, baud
        self.damaged = self.reopened = self.sent = self.received = 0
        self._reader = FrameReader(max_words=LONGEST_FRAME)
        try:
            self._serial: Any = self._opened()
        except OSError as error:
            raise InputError(f"port {port}: cannot be opened ({_reason(error)}), expected a free serial port") from None

    def _opened(self) -> Any:
        """Open the port.

        Raises:
            OSError: it cannot be opened; ``serial.SerialException`` is a subclass.
        """
        with _os_errors():
            opened = serial.Serial(
                self.port, self.baud, timeout=POLL_SECONDS, write_timeout=WRITE_SECONDS, exclusive=True
            )
        # a USB bridge would hold the last bytes of an answer back, 16 ms on Linux; not every port has this mode
        with contextlib.suppress(OSError, ValueError, NotImplementedError):
            opened.set_low_latency_mode(True)
        return opened

    def close(self) -> None:
        """Close the port, and ignore its errors."""
        with contextlib.suppress(OSError, termios.error):
            self._serial.close()

    def reopen(self, seconds: float) -> None:
        """Close the port, and open it again as soon as it exists.

        Raises:
            PortLostError: it does not come back within ``seconds``.
        """
        self.close()
        deadline = time.monotonic() + seconds
        while True:
            try:
                self._serial = self._opened()
            except OSError as error:
                if time.monotonic() > deadline:
                    raise PortLostError(
                        f"port {self.port}: lost, and not back within {seconds:g} s ({_reason(error)})"
                    ) from None
                time.sleep(OPEN_POLL_SECONDS)
            else:
                self.reopened += 1
                self._reader.clear()
                return

    def send(self, words: list[int]) -> None:
        """Send a frame.

        Raises:
            OSError: the port is lost; ``serial.SerialException`` is a subclass.
        """
        frame = encode_frame(words)
        with _os_errors():
            self._serial.write(frame)
        self.sent += len(frame)

    def receive(self) -> Iterator[list[int] | None]:
        """Yield the frames that have arrived or are completed within ``POLL_SECONDS``; None for a damaged one.

        Raises:
            OSError: the port is lost.
        """
        with _os_errors():
            received = self._serial.read(1)
            received += self._serial.read(self._serial.in_waiting) if received else b""
        self.received += len(received)
        for frame in self._reader.feed(received):
            self.damaged += frame is None
            yield frame
