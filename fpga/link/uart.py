"""Receiver and transmitter of a serial line with 8 data bits, no parity and 1 stop bit (8N1)."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.link.protocol import MIN_BAUD
from spikequant.golden.support.errors import InputError

MIN_DIVISOR = 8
"""Fewest clock cycles a bit, for the receiver to sample near the middle."""

MAX_DIVISOR = 2**16 - 1
"""Most clock cycles a bit."""

MAX_BAUD_ERROR = 0.02
"""Largest relative error of the bit time: half a bit in ten, shared by both ends, with margin."""


def divides(divisor: int, clock_hz: float, baud: int) -> bool:
    """Whether ``divisor`` clock cycles a bit give ``baud`` bits a second, near enough for a line."""
    return abs(clock_hz / divisor / baud - 1) <= MAX_BAUD_ERROR


def baud_divisor(clock_hz: float, baud: int) -> int:
    """Number of clock cycles a bit.

    Raises:
        InputError: no divisor in range comes within 2 % of ``baud`` bits a second.
    """
    divisor = round(clock_hz / baud) if baud >= MIN_BAUD else 0
    if not MIN_DIVISOR <= divisor <= MAX_DIVISOR or not divides(divisor, clock_hz, baud):
        lowest, highest = max(int(clock_hz / MAX_DIVISOR) + 1, MIN_BAUD), int(clock_hz / MIN_DIVISOR)
        raise InputError(
            f"baud: {baud} cannot be made from a {clock_hz / 1e6:g} MHz clock, expected {lowest}..{highest}"
            " with a whole number of cycles a bit within 2 %"
        )
    return divisor


ReceivedByte = data.StructLayout({"data": 8, "broken": 1})
"""A received byte; ``broken`` if its stop bit is missing."""


class UartReceiver(Component):
    """Receiver of bytes from a serial line.

    Attributes:
        rx: the line, asynchronous, high when idle.
        o: bytes, each valid for one cycle.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(ReceivedByte, always_ready=True))})

    def elaborate(self, _platform: object) -> Module:
        """Sample the line half a bit after the start edge, and then once a bit."""
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)

        timer = Signal(range(self._divisor))
        bits_left = Signal(range(11))
        shifter = Signal(9)
        # the line must be high before the next byte, so a line held low is one broken byte
        armed = Signal()
        m.d.sync += [self.o.valid.eq(0), timer.eq(timer - 1)]
        with m.If(bits_left == 0):
            m.d.sync += [timer.eq(self._divisor // 2 - 1), armed.eq(line)]
            with m.If(armed & ~line):
                m.d.sync += bits_left.eq(10)
        with m.Elif(timer == 0):
            m.d.sync += [
                timer.eq(self._divisor - 1),
                bits_left.eq(bits_left - 1),
                shifter.eq(Cat(shifter[1:], line)),
            ]
            with m.If((bits_left == 10) & line):
                # too short for a start bit
                m.d.sync += bits_left.eq(0)
            with m.Elif(bits_left == 1):
                m.d.sync += [
                    self.o.valid.eq(1),
                    self.o.payload.data.eq(shifter[1:]),
                    self.o.payload.broken.eq(~line),
                    armed.eq(0),
                ]
        return m


class UartTransmitter(Component):
    """Transmitter of bytes to a serial line.

    After a reset the line is idle for the time of one byte, so that the next byte is not lost in one that the reset
    cut off.

    Attributes:
        i: bytes.
        tx: the line, high when idle.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, _platform: object) -> Module:
        """Shift out ten bits, the start bit first."""
        m = Module()
        timer = Signal(range(self._divisor), init=self._divisor - 1)
        bits_left = Signal(range(11), init=10)
        shifter = Signal(10, init=2**10 - 1)
        m.d.comb += [self.i.ready.eq(bits_left == 0), self.tx.eq(shifter[0])]
        with m.If(bits_left == 0):
            m.d.sync += timer.eq(self._divisor - 1)
            with m.If(self.i.valid):
                m.d.sync += [bits_left.eq(10), shifter.eq(Cat(Const(0, 1), self.i.payload, Const(1, 1)))]
        with m.Elif(timer == 0):
            m.d.sync += [
                timer.eq(self._divisor - 1),
                bits_left.eq(bits_left - 1),
                shifter.eq(Cat(shifter[1:], Const(1, 1))),
            ]
        with m.Else():
            m.d.sync += timer.eq(timer - 1)
        return m
