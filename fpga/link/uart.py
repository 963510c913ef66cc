"""A serial line, 8 data bits, no parity, 1 stop bit (8N1): bytes to a wire, and back."""

from amaranth.hdl import Cat, Const, Module, Signal
from amaranth.lib import data, stream
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.link.protocol import MIN_BAUD
from spikequant.golden.support.errors import InputError

MIN_DIVISOR = 8
"""Clock cycles a bit that the receiver needs to sample near the middle."""

MAX_DIVISOR = 2**16 - 1
"""Clock cycles a bit at most."""

MAX_BAUD_ERROR = 0.02
"""Largest relative error of the bit time: half a bit over the ten bits of a byte, shared by both ends, with margin."""


def baud_divisor(clock_hz: float, baud: int) -> int:
    """Clock cycles a bit.

    Raises:
        InputError: no divisor in range comes within 2 % of ``baud`` bits a second.
    """
    divisor = round(clock_hz / baud) if baud >= MIN_BAUD else 0
    if not MIN_DIVISOR <= divisor <= MAX_DIVISOR or abs(clock_hz / divisor / baud - 1) > MAX_BAUD_ERROR:
        lowest, highest = max(int(clock_hz / MAX_DIVISOR) + 1, MIN_BAUD), int(clock_hz / MIN_DIVISOR)
        raise InputError(
            f"baud: {baud} is no speed of a line at a {clock_hz / 1e6:g} MHz clock, expected {lowest}..{highest}"
            " with a whole number of cycles a bit within 2 %"
        )
    return divisor


ReceivedByte = data.StructLayout({"data": 8, "broken": 1})
"""A byte off the line; ``broken`` when its stop bit was missing."""


class UartReceiver(Component):
    """Bytes off a serial line.

    Attributes:
        rx: the line, asynchronous, high when idle.
        o: bytes; never waits, so a byte is there for one cycle.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"rx": In(1, init=1), "o": Out(stream.Signature(ReceivedByte, always_ready=True))})

    def elaborate(self, _platform: object) -> Module:
        """Half a bit after the start edge, and then once a bit, the line is sampled."""
        m = Module()
        line = Signal(init=1)
        m.submodules.synchronizer = FFSynchronizer(self.rx, line, init=1)

        timer = Signal(range(self._divisor))
        bits_left = Signal(range(11))
        shifter = Signal(9)
        # a byte is over only once the line has been high, so a held line is one broken byte
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
    """Bytes onto a serial line.

    After a reset the line is idle for the time of one byte, so that a byte that the reset cut off cannot
    swallow the start of the next one.

    Attributes:
        i: bytes.
        tx: the line, high when idle.
    """

    def __init__(self, divisor: int) -> None:
        self._divisor = divisor
        super().__init__({"i": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, _platform: object) -> Module:
        """Ten bits leave a shift register, the start bit first."""
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
