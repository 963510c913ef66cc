"""Timing of SDR SDRAM chips, from their data sheets, in clock cycles."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil

from spikequant.golden.support.errors import InputError

NANOSECONDS = 1e9
"""Nanoseconds in a second."""

ROUNDING = 1e-9
"""Relative rounding error of a frequency."""

SLOT_CYCLES = 2
"""Clock cycles of the controller's unit of time: one column command and one row command."""

LATE_SLOTS = 24
"""Slots by which a REFRESH may be late, while a bank is opened and all banks are closed."""

CAPTURE_CYCLES = 1.5
"""Cycles from the chip's clock edge that outputs data to the controller's edge that captures it.

The chip's clock lags the controller's by half a cycle.
"""

WAY_NS = (2.0, 6.0)
"""Estimated shortest and longest delay of the clock to the chip and data back, through pins and board, in ns."""


@dataclass(frozen=True)
class SdramChip:
    """A chip of four banks, 16 bits wide, at CAS latency 3. All times in ns, by their names in data sheets.

    Attributes:
        name: the part with its speed grade.
        row_bits, column_bits: widths of addresses.
        cas_latency: clock cycles from READ to its first data.
        t_ck: shortest clock cycle.
        t_rc: ACTIVATE to ACTIVATE of the same bank.
        t_rfc: REFRESH to any ACTIVATE, REFRESH or mode.
        t_ras, t_ras_max: ACTIVATE to PRECHARGE of the same bank.
        t_rcd: ACTIVATE to READ or WRITE.
        t_rp: PRECHARGE to ACTIVATE, REFRESH or mode.
        t_rrd: ACTIVATE to ACTIVATE of another bank.
        t_wr: last data written to PRECHARGE.
        t_mrd: mode to any command.
        t_ac: clock to read data, at the latest.
        t_oh: next clock to the end of read data, at the earliest.
        t_ref: period in which ``refreshes`` REFRESH commands are due.
        t_start: stable power and clock to the first command.
        start_refreshes: REFRESH commands at initialization.
    """

    name: str
    row_bits: int
    column_bits: int
    cas_latency: int
    t_ck: int
    t_rc: int
    t_rfc: int
    t_ras: int
    t_ras_max: int
    t_rcd: int
    t_rp: int
    t_rrd: int
    t_wr: int
    t_mrd: int
    t_ac: float
    t_oh: float
    t_ref: int
    refreshes: int
    t_start: int
    start_refreshes: int

    @property
    def bytes(self) -> int:
        """Capacity in bytes."""
        return 2 * 4 << (self.row_bits + self.column_bits)

    @property
    def words(self) -> int:
        """Capacity in 32-bit words."""
        return self.bytes // 4

    @property
    def page_words(self) -> int:
        """32-bit words of a row of one bank."""
        return 1 << (self.column_bits - 1)


def _alliance(name: str, *, column_bits: int) -> SdramChip:
    return SdramChip(
        name=name,
        row_bits=13,
        column_bits=column_bits,
        cas_latency=3,
        t_ck=7,
        t_rc=63,
        t_rfc=63,
        t_ras=42,
        t_ras_max=120_000,
        t_rcd=21,
        t_rp=21,
        t_rrd=14,
        t_wr=14,
        t_mrd=14,
        t_ac=5.4,
        t_oh=2.5,
        t_ref=64_000_000,
        refreshes=8192,
        t_start=200_000,
        start_refreshes=2,
    )


CHIPS: Mapping[str, SdramChip] = {
    chip.name: chip for chip in (_alliance("AS4C16M16SA-7", column_bits=9), _alliance("AS4C32M16SB-7", column_bits=10))
}
"""Chips by name: 32 MB and 64 MB by Alliance Memory.

Speed grade -7, from table 16, "Electrical Characteristics and Recommended A.C. Operating Conditions", of the data
sheets AS4C16M16SA-C&I, Rev. 3.0, March 2015, and AS4C32M16SB, Rev. 1.0, June 2016; both tables are the same.
"""

DEFAULT_CHIP = "AS4C16M16SA-7"
"""Default chip, 32 MB; every ULX3S has at least as much."""

DEFAULT_HZ = 120e6
"""Highest clock of the memory by default, below the 143 MHz of the chips."""


def find_chip(name: str) -> SdramChip:
    """Find a chip by name.

    Raises:
        InputError: there is no such chip.
    """
    if name not in CHIPS:
        raise InputError(f"memory: unknown chip {name!r}, expected one of {', '.join(CHIPS)}")
    return CHIPS[name]


@dataclass(frozen=True)
class SdramTiming:
    """Waiting times of the controller for a chip at a clock, in slots of two cycles.

    A column command (READ, WRITE) is in a slot's first cycle, a row command (all others) in its second one.

    Attributes:
        chip: the chip.
        clock_hz: clock of the chip and the controller.
    """

    chip: SdramChip
    clock_hz: float

    def __post_init__(self) -> None:
        """Check the clock.

        Raises:
            InputError: it is too fast for the chip, or so slow that refreshes take most of the time.
        """
        slowest = 2 * LATE_SLOTS * SLOT_CYCLES * self.chip.refreshes / self.chip.t_ref * NANOSECONDS
        self._check_clock(slowest, NANOSECONDS / self.chip.t_ck)

    def check_pins(self) -> None:
        """Check that data is stable after ``CAPTURE_CYCLES``, for board delays of ``WAY_NS``.

        Raises:
            InputError: the clock is so fast that data may be late, or so slow that the next data may be early.
        """
        shortest, longest = WAY_NS
        slowest = (CAPTURE_CYCLES - 1) / (self.chip.t_oh + shortest) * NANOSECONDS
        fastest = CAPTURE_CYCLES / (self.chip.t_ac + longest) * NANOSECONDS
        self._check_clock(slowest, min(fastest, NANOSECONDS / self.chip.t_ck))

    def _check_clock(self, slowest_hz: float, fastest_hz: float) -> None:
        # in this form, it also refuses NaN
        if not slowest_hz * (1 - ROUNDING) <= self.clock_hz <= fastest_hz * (1 + ROUNDING):
            raise InputError(
                f"memory clock: {self.clock_hz / 1e6:.4g} MHz, expected {slowest_hz / 1e6:.4g} to "
                f"{fastest_hz / 1e6:.4g} MHz for the {self.chip.name}"
            )

    def cycles(self, nanoseconds: float) -> int:
        """Clock cycles that last at least that long."""
        return ceil(nanoseconds * self.clock_hz / NANOSECONDS - 1e-9)

    def _row_to_row(self, nanoseconds: float) -> int:
        return -(-self.cycles(nanoseconds) // SLOT_CYCLES)

    @property
    def precharge(self) -> int:
        """PRECHARGE to ACTIVATE or REFRESH."""
        return self._row_to_row(self.chip.t_rp)

    @property
    def refresh(self) -> int:
        """REFRESH to the next row command."""
        return self._row_to_row(self.chip.t_rfc)

    @property
    def mode(self) -> int:
        """Mode to the next row command."""
        return self._row_to_row(self.chip.t_mrd)

    @property
    def activate(self) -> int:
        """ACTIVATE to the next row command, on another bank."""
        return self._row_to_row(self.chip.t_rrd)

    @property
    def open(self) -> int:
        """ACTIVATE to PRECHARGE of the same bank, long enough for t_ras, and with ``precharge`` for t_rc."""
        return max(self._row_to_row(self.chip.t_ras), self._row_to_row(self.chip.t_rc) - self.precharge)

    @property
    def column(self) -> int:
        """ACTIVATE to READ or WRITE, from slot to slot; the column command is a cycle earlier in its slot."""
        return -(-(self.cycles(self.chip.t_rcd) + 1) // SLOT_CYCLES)

    @property
    def after_read(self) -> int:
        """READ to PRECHARGE of the same bank: two cycles, in which its two columns are output."""
        return 1

    @property
    def after_write(self) -> int:
        """WRITE to PRECHARGE of the same bank; the second column is written a cycle after the command."""
        return max(1, -(-self.cycles(self.chip.t_wr) // SLOT_CYCLES))

    @property
    def read_to_write(self) -> int:
        """READ to WRITE: the last data, and then a cycle in which the pins are not driven."""
        return -(-(self.chip.cas_latency + 3) // SLOT_CYCLES)

    @property
    def start(self) -> int:
        """Start of the clock to the first command."""
        return self._row_to_row(self.chip.t_start)

    @property
    def refresh_interval(self) -> int:
        """REFRESH to REFRESH, with a margin of ``LATE_SLOTS``."""
        return int(self.chip.t_ref / self.chip.refreshes * self.clock_hz / NANOSECONDS) // SLOT_CYCLES - LATE_SLOTS

    @property
    def word_cycles(self) -> float:
        """Expected cycles of a word in a long stream: a slot, and its share of the refreshes.

        For a refresh, all banks are closed, and then the row is opened again; a slot passes before each of the two.
        """
        refresh = 1 + self.precharge + self.refresh + 1 + self.column
        return SLOT_CYCLES / (1 - refresh / self.refresh_interval)

    @property
    def peak_bytes(self) -> float:
        """Peak bandwidth in bytes a second: data in every cycle."""
        return 2 * self.clock_hz
