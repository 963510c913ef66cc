"""Named interfaces: names of their signals, their joins, and arguments that they refuse."""

import pytest
from amaranth.hdl import Value
from amaranth.lib.wiring import Component, In, Out

from spikequant.rtl.fabric.queue import BlockQueue
from spikequant.rtl.interfaces import BufferEvent, Bundle, Flow, MemoryWrite, Write


@pytest.mark.parametrize(
    ("bundle", "names"),
    [
        (Flow(8), {"valid": "port_valid", "value": "port"}),
        (Write(8), {"data": "port", "enable": "port_enable"}),
        (BufferEvent(), {"active": "port", "buffer": "port_buffer"}),
        (MemoryWrite(8, depth=9), {"address": "port_address", "data": "port_data", "enable": "port_enable"}),
    ],
)
def test_signals_are_named_after_the_member(bundle: Bundle, names: dict[str, str]) -> None:
    component = Component({"port": Out(bundle), "other": In(bundle)})
    assert {part: Value.cast(getattr(component.port, part)).name for part in names} == names
    assert bundle.is_compliant(component.port)
    assert not bundle.is_compliant(component.other)
    assert bundle.flip().is_compliant(component.other)


def test_an_address_is_wide_enough_for_the_depth() -> None:
    assert len(MemoryWrite(8, depth=9).create().address) == 4


def test_a_memory_without_rows_is_refused() -> None:
    with pytest.raises(ValueError, match="depth: 0, expected at least 1"):
        MemoryWrite(8, depth=0)


def test_a_depth_that_is_no_power_of_two_is_refused() -> None:
    with pytest.raises(ValueError, match="depth: 12, expected a power of two"):
        BlockQueue(8, depth=12)
