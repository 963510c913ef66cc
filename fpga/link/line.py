"""A serial port that comes back: frames out, frames in, through cables that are cut."""

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
"""Words beyond which what comes is noise."""

POLL_SECONDS = 0.02
"""Longest wait for a byte at a time; pyserial sets the port up anew for every other time."""

OPEN_POLL_SECONDS = 0.05
WRITE_SECONDS = 5.0


class LinkError(SpikeQuantError):
    """The board cannot be reached, or does not do its part: one line."""


class PortLostError(LinkError):
    """The port is gone, and has not come back."""


@contextlib.contextmanager
def _os_errors() -> Iterator[None]:
    """Whatever pyserial says of a port that is none, or that hangs up meanwhile, is an OSError."""
    try:
        yield
    except termios.error as error:
        raise OSError(*error.args) from None
    except (ValueError, OverflowError) as error:
        raise serial.SerialException(str(error)) from None


def _reason(error: OSError) -> str:
    """What the system says, without the port that pyserial puts around it."""
    return os.strerror(error.errno) if error.errno else str(error)


class SerialLine:
    """The host's end of the wire.

    Attributes:
        port: name of the port.
        baud: bits a second.
        damaged: damaged frames that have come.
        reopened: times that the port was lost and found again.
    """

    def __init__(self, port: str, baud: int) -> None:
        """Open the port, for this process alone.

        Raises:
            InputError: it cannot be opened, or is too slow for the times that a session allows.
        """
        if baud < MIN_BAUD:
            raise InputError(f"baud: {baud} bits a second, expected {MIN_BAUD} at least")
        self.port, self.baud = port, baud
        self.damaged = self.reopened = 0
        self._reader = FrameReader(max_words=LONGEST_FRAME)
        try:
            self._serial: Any = self._opened()
        except OSError as error:
            raise InputError(
                f"port {port}: cannot be opened ({_reason(error)}), expected a serial port that is free"
            ) from None

    def _opened(self) -> Any:
        """The port, open.

        Raises:
            OSError: it cannot be opened; ``serial.SerialException`` is one, too.
        """
        with _os_errors():
            return serial.Serial(
                self.port, self.baud, timeout=POLL_SECONDS, write_timeout=WRITE_SECONDS, exclusive=True
            )

    def close(self) -> None:
        """Let the port go; whatever it says."""
        with contextlib.suppress(OSError, termios.error):
            self._serial.close()

    def reopen(self, seconds: float) -> None:
        """Close the port and open it again, as soon as it is there.

        Raises:
            PortLostError: it does not come back in that time.
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
        """A frame.

        Raises:
            OSError: the port is lost; ``serial.SerialException`` is one, too.
        """
        frame = encode_frame(words)
        with _os_errors():
            self._serial.write(frame)

    def receive(self) -> Iterator[list[int] | None]:
        """The frames that have arrived, or that the next bytes end if they come soon; None for a damaged one.

        Raises:
            OSError: the port is lost.
        """
        with _os_errors():
            received = self._serial.read(1)
            received += self._serial.read(self._serial.in_waiting) if received else b""
        for frame in self._reader.feed(received):
            self.damaged += frame is None
            yield frame
