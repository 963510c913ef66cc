"""Times of the data sheet as slots of the controller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fpga.sdram.timing import CHIPS, DEFAULT_CHIP, SLOT_CYCLES, SdramTiming, find_chip
from golden.errors import InputError

CHIP = CHIPS[DEFAULT_CHIP]


def test_sizes_are_those_of_the_parts() -> None:
    assert {name: chip.bytes for name, chip in CHIPS.items()} == {
        "AS4C16M16SA-7": 32 * 2**20,
        "AS4C32M16SB-7": 64 * 2**20,
    }
    assert (CHIP.words, CHIP.page_words) == (8 * 2**20, 256)


def test_cycles_at_120_mhz() -> None:
    timing = SdramTiming(CHIP, 120e6)
    times = (CHIP.t_rcd, CHIP.t_rp, CHIP.t_ras, CHIP.t_rc, CHIP.t_rrd, CHIP.t_wr)
    assert [timing.cycles(time) for time in times] == [3, 3, 6, 8, 2, 2]
    assert timing.peak_bytes == 240e6


@given(st.floats(20e6, 1e9 / 7))
def test_slots_are_long_enough_at_any_clock(clock_hz: float) -> None:
    timing = SdramTiming(CHIP, clock_hz)
    cycle = 1e9 / clock_hz * (1 + 1e-6)
    slot = SLOT_CYCLES * cycle
    assert timing.precharge * slot >= CHIP.t_rp
    assert timing.refresh * slot >= CHIP.t_rfc
    assert timing.mode * slot >= CHIP.t_mrd
    assert timing.activate * slot >= CHIP.t_rrd
    assert timing.open * slot >= CHIP.t_ras
    assert (timing.open + timing.precharge) * slot >= CHIP.t_rc
    # a column command is a cycle before a row command of its slot
    assert timing.column * slot - cycle >= CHIP.t_rcd
    assert timing.after_write * slot >= CHIP.t_wr
    assert timing.read_to_write * SLOT_CYCLES >= CHIP.cas_latency + 3
    assert timing.start * slot >= CHIP.t_start
    assert timing.refresh_interval * slot * CHIP.refreshes <= CHIP.t_ref * (1 + 1e-5)


def test_a_clock_that_is_too_fast_is_refused() -> None:
    SdramTiming(CHIP, 1e9 / 7)
    with pytest.raises(InputError, match=r"^memory clock: 143 MHz, expected 142.9 at most for the AS4C16M16SA-7$"):
        SdramTiming(CHIP, 143e6)


def test_an_unknown_chip_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^memory: unknown chip 'W9825', expected one of AS4C16M16SA-7, AS4C32M16SB"):
        find_chip("W9825")
