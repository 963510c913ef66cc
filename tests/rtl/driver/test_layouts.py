"""Layouts as words: each field at its place, and none that does not fit."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spikequant.fpga.link.protocol import POSITION_BITS, Control
from spikequant.fpga.sdram.packets import StreamHeader, stream_packet
from spikequant.rtl.driver.layouts import pack, unpack, words_in

WIDTHS = {"address": 24, "rows": 16, "row_words": 16, "place": 16, "opening": 32}


@given(fields=st.fixed_dictionaries({name: st.integers(0, 2**width - 1) for name, width in WIDTHS.items()}))
def test_fields_come_back_from_words(fields: dict[str, int]) -> None:
    words = pack(StreamHeader, **fields)
    assert len(words) == words_in(StreamHeader) == 4
    assert all(0 <= word < 2**32 for word in words)
    found = unpack(StreamHeader, words)
    assert found == dict.fromkeys(found, 0) | fields


@pytest.mark.parametrize(
    ("field", "make"),
    [
        ("Control.sequence", lambda: pack(Control, sequence=2**POSITION_BITS)),
        ("Control.session", lambda: pack(Control, session=-1)),
        ("nonsense", lambda: pack(Control, nonsense=0)),
        ("StreamHeader.address", lambda: stream_packet(0, address=2**24, rows=1, row_words=1)),
    ],
)
def test_what_no_layout_has_is_refused(field: str, make: Callable[[], object]) -> None:
    with pytest.raises(ValueError, match=field):
        make()
