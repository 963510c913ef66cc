"""Times of the data sheet as slots of the controller."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP, SLOT_CYCLES, SdramTiming, find_chip
from spikequant.golden.support.errors import InputError

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


@pytest.mark.parametrize("hz", [143e6, 12e6, 0, -5e6, float("nan"), float("inf")])
def test_a_clock_that_is_out_of_range_is_refused(hz: float) -> None:
    for accepted in (1e9 / 7, 13e6):
        assert SdramTiming(CHIP, accepted).refresh_interval > 0
    expected = rf"^memory clock: {hz / 1e6:.4g} MHz, expected 12\.29 to 142\.9 MHz for the AS4C16M16SA-7$"
    with pytest.raises(InputError, match=expected):
        SdramTiming(CHIP, hz)


@given(st.floats(13e6, 1e9 / 7), st.floats(2, 6))
def test_at_clocks_for_boards_data_is_there_when_it_is_taken(clock_hz: float, way: float) -> None:
    timing = SdramTiming(CHIP, clock_hz)
    cycle = 1e9 / clock_hz
    try:
        timing.check_pins()
    except InputError:
        # it would not be, at one end of the way
        assert cycle + CHIP.t_oh + 2 < 1.5 * cycle or CHIP.t_ac + 6 > 1.5 * cycle
    else:
        assert CHIP.t_ac + way - 1e-6 <= 1.5 * cycle <= cycle + CHIP.t_oh + way + 1e-6


def test_clocks_for_boards_are_those_around_120_mhz() -> None:
    for accepted in (112e6, 120e6, 131e6):
        SdramTiming(CHIP, accepted).check_pins()
    for hz in (103.125e6, 132e6):
        expected = rf"^memory clock: {hz / 1e6:.4g} MHz, expected 111\.1 to 131\.6 MHz for the AS4C16M16SA-7$"
        with pytest.raises(InputError, match=expected):
            SdramTiming(CHIP, hz).check_pins()


def test_an_unknown_chip_is_refused_with_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"^memory: unknown chip 'W9825', expected one of AS4C16M16SA-7, AS4C32M16SB"):
        find_chip("W9825")
