"""The model of the chip: each rule of the data sheet, kept to the cycle and broken by one."""

from collections.abc import Callable
from typing import Any

import pytest

from spikequant.fpga.sdram.model import model_parameters
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP, SdramTiming

ALL_BANKS = 1 << 10
US = 1000 / 7
"""Cycles in a microsecond."""

AUTO_PRECHARGE = 1 << 10


def opened(t: Any, *, then: int = 2, bank: int = 0) -> Any:
    return t.start().command("activate", bank=bank, address=5, then=then)


RULES: dict[str, tuple[str, Callable[[Any, int], Any], int]] = {
    "power-up": ("power-up time", lambda t, n: t.start(wait=n), 10),
    "tRP to activate": (
        "tRP",
        lambda t, n: opened(t, then=7).command("precharge", then=n - 1).command("activate"),
        3,
    ),
    "tRP to refresh": (
        "tRP",
        lambda t, n: opened(t, then=7).command("precharge", address=ALL_BANKS, then=n - 1).command("refresh"),
        3,
    ),
    "tRP at the start": (
        "tRP",
        lambda t, n: t.idle(9).command("precharge", address=ALL_BANKS, then=n - 1).command("refresh"),
        3,
    ),
    "tRCD to read": ("tRCD", lambda t, n: opened(t, then=n - 1).command("read"), 3),
    "tRCD to write": ("tRCD", lambda t, n: opened(t, then=n - 1).command("write", data=1).command("nop", data=2), 3),
    "tRAS": ("tRAS", lambda t, n: opened(t, then=n - 1).command("precharge"), 6),
    "tRRD": ("tRRD", lambda t, n: opened(t, then=n - 1).command("activate", bank=1), 2),
    "tRFC to activate": ("tRFC", lambda t, n: t.start().command("refresh", then=n - 1).command("activate"), 9),
    "tRFC to refresh": ("tRFC", lambda t, n: t.start().command("refresh", then=n - 1).command("refresh"), 9),
    "tMRD": ("tMRD", lambda t, n: t.start().command("mode", address=0x31, then=n - 1).command("activate"), 2),
    "tWR": (
        "tWR",
        lambda t, n: opened(t, then=6).command("write", data=1).command("nop", data=2, then=n - 1).command("precharge"),
        2,
    ),
    "data to write": (
        "DQ contention",
        lambda t, n: opened(t).command("read", then=n - 1).command("write", data=1).command("nop", data=2),
        6,
    ),
    "initialisation": ("initialisation", lambda t, n: t.start(refreshes=n).command("activate"), 2),
}
"""By what it is about: the rule, a trace for a number of cycles, and the fewest cycles that keep the rule."""


@pytest.mark.parametrize("name", RULES)
def test_a_time_is_kept_to_the_cycle_and_broken_by_one(trace: Any, name: str) -> None:
    rule, build, least = RULES[name]
    assert build(trace, least).run()[0] == []
    trace.lines.clear()
    assert set(build(trace, least - 1).run()[0]) == {rule}


AT_120_MHZ = {
    "tRP to activate": 3,
    "tRCD to read": 3,
    "tRAS": 6,
    "tRRD": 2,
    "tRFC to activate": 8,
    "tRFC to refresh": 8,
    "tMRD": 2,
    "tWR": 2,
}
"""Fewest cycles of 8.333 ns, of which none of these times is a multiple."""


@pytest.mark.parametrize("name", AT_120_MHZ)
def test_a_time_lasts_until_the_next_cycle(build_trace: Callable[..., Any], name: str) -> None:
    rule, build, _ = RULES[name]
    least = AT_120_MHZ[name]
    assert build(build_trace(T_CLOCK=8333), least).run()[0] == []
    assert set(build(build_trace(T_CLOCK=8333), least - 1).run()[0]) == {rule}


def test_a_bank_may_be_open_to_the_cycle(trace: Any) -> None:
    longest = int(50 * US)
    assert opened(trace, then=longest - 1).command("precharge").run()[0] == []
    trace.lines.clear()
    assert set(opened(trace, then=longest).command("precharge").run()[0]) == {"tRAS maximum"}


def test_a_refresh_may_be_late_to_the_cycle(trace: Any) -> None:
    longest = int(100 * US)
    begun = sum(int(line.split()[0]) for line in trace.start().lines)
    assert trace.idle(longest - begun).run()[0] == []
    assert set(trace.idle(1).run()[0]) == {"tREF"}


def test_a_bank_has_a_cycle_of_its_own(build_trace: Callable[..., Any]) -> None:
    """Where tRC is longer than tRAS and tRP together."""
    for least, broken in ((10, set[str]()), (9, {"tRC"})):
        t = opened(build_trace(T_RC=70_000), then=5).command("precharge", then=least - 7).command("activate")
        assert set(t.run()[0]) == broken


def test_the_cycle_of_a_bank_is_longer_than_what_it_is_made_of(trace: Any) -> None:
    """For this chip tRC is tRAS plus tRP, so it is only violated together with one of them."""
    kept = opened(trace, then=5).command("precharge", then=2).command("activate").run()[0]
    assert kept == []
    trace.lines.clear()
    assert set(opened(trace, then=4).command("precharge", then=2).command("activate").run()[0]) == {"tRAS", "tRC"}


@pytest.mark.parametrize(
    ("rule", "build"),
    [
        ("bank open", lambda t: t.start().command("read", then=4)),
        ("bank open", lambda t: opened(t).command("write", bank=1, data=1).command("nop", data=2)),
        ("bank closed", lambda t: opened(t, then=20).command("activate")),
        ("all banks closed", lambda t: opened(t, then=20).command("refresh")),
        ("all banks closed", lambda t: opened(t, then=20).command("mode", address=0x31)),
        ("auto precharge", lambda t: opened(t).command("read", address=AUTO_PRECHARGE, then=4)),
        ("column", lambda t: opened(t).command("read", address=1 << 9, then=4)),
        ("data to write", lambda t: opened(t).command("write", then=4)),
        ("data to write", lambda t: opened(t).command("write", data=1, then=4)),
        ("mode", lambda t: t.start(mode=0b011_1_001)),
        ("mode", lambda t: t.start(mode=0b011_0_111)),
        ("mode", lambda t: t.start(mode=0b001_0_001)),
        ("mode", lambda t: t.start(mode=0b010_0_001)),
        ("CKE", lambda t: t.start().command("nop", cke=0)),
        ("initialisation", lambda t: t.idle(20).command("refresh")),
        ("initialisation", lambda t: t.idle(20).command("mode", address=0x31)),
        ("initialisation", lambda t: t.idle(20).command("precharge", address=ALL_BANKS, then=9).command("activate")),
        ("tWR", lambda t: opened(t, then=9).command("write", data=1).command("precharge")),
        ("tRAS maximum", lambda t: opened(t, then=int(51 * US)).command("precharge")),
        ("tREF", lambda t: t.start().idle(int(101 * US))),
    ],
)
def test_what_is_not_allowed_is_named(trace: Any, rule: str, build: Callable[[Any], Any]) -> None:
    assert set(build(trace).run()[0]) == {rule}


def test_refreshes_in_time_keep_the_data(trace: Any) -> None:
    trace.start()
    for _ in range(12):
        trace.idle(int(24 * US)).command("refresh", then=9)
    assert trace.run()[0] == []
    trace.lines.clear()
    # four refreshes in 100 us; the first two of these are in time, as two at the start were
    trace.start()
    for _ in range(6):
        trace.idle(int(34 * US)).command("refresh", then=9)
    assert set(trace.run()[0]) == {"tREF"}


def test_bursts_come_out_behind_the_latency_without_a_gap(trace: Any) -> None:
    opened(trace)
    for column in range(4):
        trace.command("write", address=2 * column, data=0x100 + column).command("nop", data=0x200 + column)
    for column in (3, 0, 2):
        trace.command("read", address=2 * column, then=1)
    broken, pins = trace.idle(1).idle(1).idle(1).run()
    assert broken == []
    # a READ and the next cycle are two lines; then three more cycles
    assert pins[-6:] == [0x103, 0x203, 0x100, 0x200, 0x102, 0x202]


def test_the_mask_lies_two_cycles_before_what_is_read_and_beside_what_is_written(trace: Any) -> None:
    opened(trace).command("write", data=0x1111).command("nop", data=0x2222)
    trace.command("write", data=0x3333, mask=0b01).command("nop", data=0x4444, mask=0b10)
    trace.idle(1).command("read").idle(1).idle(1).idle(1).idle(1)
    broken, pins = trace.run()
    assert broken == []
    assert pins[-2:] == [0x3311, 0x2244]
    trace.command("read").command("nop", mask=0b11).idle(1).idle(1).idle(1)
    masked = trace.run()[1]
    assert masked[-2] != 0x3311
    assert masked[-1] == 0x2244


def test_a_precharge_ends_a_read_two_cycles_later(trace: Any) -> None:
    opened(trace, then=7).command("write", data=7).command("nop", data=8).idle(4)
    trace.command("read").command("precharge").idle(1).idle(1).idle(1)
    broken, pins = trace.run()
    assert broken == []
    assert pins[-2] == 7
    assert pins[-1] != 8


def test_a_clock_that_is_too_fast_is_named(build_trace: Callable[..., Any]) -> None:
    assert build_trace(T_CK=7001).start().run()[0] == ["tCK"]
    assert build_trace(T_CK=7000).start().run()[0] == []


def test_the_parameters_are_those_of_the_data_sheet() -> None:
    text = model_parameters(SdramTiming(CHIPS[DEFAULT_CHIP], 125e6))
    times = {"T_CLOCK": 8000, "T_CK": 7000, "T_RC": 63_000, "T_RAS": 42_000, "T_RP": 21_000, "T_REF": 64 * 10**9}
    assert all(f".{name}(64'd{time})" in text for name, time in times.items())
