"""The check of parities against counted ones."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikequant.rtl.parity import ParityCheck


@pytest.mark.parametrize(("rows", "bits"), [(1, 2), (2, 5), (4, 33), (2, 257)])
def test_any_row_with_an_odd_number_of_ones_fails(play: Callable[..., Any], rows: int, bits: int) -> None:
    rng = np.random.default_rng(1)
    values = rng.integers(0, 2, (200, rows, bits))
    # even rows in most cycles, so that single odd ones are seen
    even = rng.random((200, rows)) < 0.8
    values[..., -1] ^= even & (values.sum(axis=-1) % 2 == 1)
    valid = rng.random(200) < 0.8
    frames = [
        {"rows": [int("".join(map(str, row)), 2) for row in each.tolist()], "valid": int(checked)}
        for each, checked in zip(values, valid, strict=True)
    ]
    latency = ParityCheck.latency(bits)
    sampled = play(ParityCheck(rows=rows, bits=bits), [*frames, *[{}] * latency], ["failed"])
    expected = valid & (values.sum(axis=-1) % 2 == 1).any(axis=-1)
    assert [failed for (failed,) in sampled[:latency]] == [0] * latency
    assert [bool(failed) for (failed,) in sampled[latency:]] == expected.tolist()
    assert set(expected.tolist()) == {False, True}
