"""Banks of an SDRAM: the open rows, and the commands that open and close them, refresh and initialize the chip."""

from collections.abc import Callable

from amaranth.hdl import Array, Cat, Module, Mux, Signal, Value
from amaranth.lib import data, enum
from amaranth.lib.wiring import Component, In, Out

from spikequant.fpga.sdram.shapes import ALL_BANKS, BANK_BITS
from spikequant.fpga.sdram.timing import SdramTiming

BANKS = 2**BANK_BITS

START_REFRESHES = 8
"""REFRESH commands at initialization; data sheets ask for two or eight."""


class Command(enum.Enum, shape=3):
    """Commands by their active-low pins: RAS, CAS and WE, from the lowest bit up."""

    NOTHING = 0b000
    ACTIVATE = 0b001
    READ = 0b010
    REFRESH = 0b011
    PRECHARGE = 0b101
    WRITE = 0b110
    MODE = 0b111


def place_layout(timing: SdramTiming) -> data.StructLayout:
    """A row of a bank that is needed, if ``valid``."""
    return data.StructLayout({"valid": 1, "bank": BANK_BITS, "row": timing.chip.row_bits})


class RowKeeper(Component):
    """Opens the current row, then the following one if that is in another bank; refreshes and initializes the chip.

    Time is divided into slots of two cycles; row commands are issued in the second cycle.

    Latency: ``present_open`` is set in the first cycle of a slot, from the second slot after the ACTIVATE on.

    Attributes:
        row_cycle: second cycle of a slot.
        present, following: the current and the following row; they change after a slot's first cycle.
        present_open, following_open: these rows are open, delayed by a cycle.
        used, wrote: in this slot's first cycle a word of ``present`` is read, or written if ``wrote``.
        refresh_due: all banks are about to be closed: do not read or write.
        ready: the chip is initialized.
        command, address, bank: a row command, or NOTHING.
    """

    def __init__(self, timing: SdramTiming, *, mode: int) -> None:
        """``mode`` is the value of the chip's mode register."""
        self._timing = timing
        self._mode = mode
        place = place_layout(timing)
        super().__init__(
            {
                "row_cycle": In(1),
                "present": In(place),
                "following": In(place),
                "present_open": Out(1),
                "following_open": Out(1),
                "used": In(1),
                "wrote": In(1),
                "refresh_due": Out(1),
                "ready": Out(1),
                "command": Out(Command),
                "address": Out(timing.chip.row_bits),
                "bank": Out(BANK_BITS),
            }
        )

    def elaborate(self, _platform: object) -> Module:
        """Keep the state of the banks, and issue one command at a time."""
        m = Module()
        timing, chip = self._timing, self._timing.chip
        usable = [Signal(name=f"usable_{bank}") for bank in range(BANKS)]
        rows = [Signal(chip.row_bits, name=f"row_{bank}", reset_less=True) for bank in range(BANKS)]
        # slots until a bank may be closed
        most = max(timing.open, timing.after_write, timing.after_read)
        held = [Signal(range(most + 1), name=f"held_{bank}") for bank in range(BANKS)]
        for place, is_open in ((self.present, self.present_open), (self.following, self.following_open)):
            m.d.sync += is_open.eq(Array(usable)[place.bank] & (Array(rows)[place.bank] == place.row))
        for number, bank in enumerate(held):
            with m.If(self.used & (self.present.bank == number)):
                least = Mux(self.wrote, timing.after_write, timing.after_read)
                m.d.sync += bank.eq(Mux(bank > least, bank, least))
            with m.Elif(self.row_cycle):
                m.d.sync += bank.eq(Mux(bank == 0, 0, bank - 1))

        wait = Signal(range(max(timing.refresh, timing.precharge, timing.mode, timing.activate, timing.column)))
        with m.If(self.row_cycle & (wait != 0)):
            m.d.sync += wait.eq(wait - 1)
        goes_on = Signal()
        m.d.comb += goes_on.eq(self.row_cycle & (wait == 0))

        interval = Signal(range(timing.refresh_interval), init=timing.refresh_interval - 1)
        with m.If(self.row_cycle):
            m.d.sync += interval.eq(Mux(interval == 0, timing.refresh_interval - 1, interval - 1))
            with m.If(interval == 0):
                m.d.sync += self.refresh_due.eq(self.ready)

        def command(which: Command, slots: int, *, address: Value | int = 0, bank: Value | int = 0) -> None:
            m.d.comb += [self.command.eq(which), self.address.eq(address), self.bank.eq(bank)]
            m.d.sync += wait.eq(slots - 1)

        def close_all() -> None:
            command(Command.PRECHARGE, timing.precharge, address=1 << ALL_BANKS)
            m.d.sync += [bank.eq(0) for bank in usable]

        self._states(m, goes_on, command, close_all, usable=usable, rows=rows, held=held)
        return m

    def _states(
        self,
        m: Module,
        goes_on: Signal,
        command: Callable[..., None],
        close_all: Callable[[], None],
        *,
        usable: list[Signal],
        rows: list[Signal],
        held: list[Signal],
    ) -> None:
        timing = self._timing
        start = Signal(range(timing.start + 1), init=timing.start)
        refreshes = Signal(range(START_REFRESHES), init=START_REFRESHES - 1)
        wanted = Signal(place_layout(timing))
        wanted_is_open, wanted_is_held = (
            Array(usable)[wanted.bank],
            Array([bank.any() for bank in held])[wanted.bank],
        )
        # ``usable`` is set two slots before the row may be used
        opening = max(timing.column - 2, 0)

        def activate() -> None:
            command(Command.ACTIVATE, max(timing.activate, opening), address=wanted.row, bank=wanted.bank)
            for number in range(len(rows)):
                with m.If(wanted.bank == number):
                    m.d.sync += [rows[number].eq(wanted.row), held[number].eq(timing.open - 1)]
                    if not opening:
                        m.d.sync += usable[number].eq(1)
            m.next = "opened" if opening else "settle"

        with m.FSM():
            with m.State("start"), m.If(self.row_cycle):
                m.d.sync += start.eq(start - 1)
                with m.If(start == 0):
                    close_all()
                    m.next = "refresh for start"
            with m.State("refresh for start"), m.If(goes_on):
                command(Command.REFRESH, timing.refresh)
                m.d.sync += refreshes.eq(refreshes - 1)
                with m.If(refreshes == 0):
                    m.next = "mode"
            with m.State("mode"), m.If(goes_on):
                command(Command.MODE, timing.mode, address=self._mode)
                m.d.sync += self.ready.eq(1)
                m.next = "settle"
            with m.State("settle"), m.If(goes_on):
                # the open rows are known from the next slot on
                m.next = "idle"
            with m.State("idle"):
                with m.If(~self.row_cycle):
                    first = self.present.valid & ~self.present_open
                    ahead = self.following.valid & ~self.following_open
                    apart = ~self.present.valid | (self.following.bank != self.present.bank)
                    m.d.sync += [
                        wanted.eq(Mux(first, self.present.as_value(), self.following.as_value())),
                        wanted.valid.eq(first | (ahead & apart)),
                    ]
                with m.Elif(self.refresh_due), m.If(~Cat(bank.any() for bank in held).any()):
                    close_all()
                    m.next = "refresh"
                with m.Elif(wanted.valid & ~wanted_is_open):
                    activate()
                with m.Elif(wanted.valid & ~wanted_is_held):
                    command(Command.PRECHARGE, timing.precharge, bank=wanted.bank)
                    for number, bank in enumerate(usable):
                        with m.If(wanted.bank == number):
                            m.d.sync += bank.eq(0)
                    m.next = "open"
            with m.State("open"), m.If(goes_on):
                activate()
            with m.State("refresh"), m.If(goes_on):
                command(Command.REFRESH, timing.refresh)
                m.d.sync += self.refresh_due.eq(0)
                m.next = "settle"
            if opening:
                with m.State("opened"), m.If(goes_on):
                    for number, bank in enumerate(usable):
                        with m.If(wanted.bank == number):
                            m.d.sync += bank.eq(1)
                    m.next = "settle"
