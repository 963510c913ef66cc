"""What the packer stores of tokens, against the golden sums and plain lists."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from spikequant.benchmarks.twin.arithmetic import charge_room, level_sum, together, token_grain
from spikequant.benchmarks.twin.packer import LevelPacker
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.packet_sizes import CODES_PER_WORD


def words_of(vectors: Any, token: int, *, buffer: int, address: int) -> list[dict[str, Any]]:
    """A token's codes, four a word."""
    shift, zero, offset = (int(values[token]) for values in (vectors.shift, vectors.zero, vectors.offset))
    level, salient = vectors.level[token].astype(int), vectors.salient[token]
    value = np.where(salient, (level >> shift) - offset, level + zero)
    header = {"buffer": buffer, "address": address, "shift": shift, "zero": zero, "offset": offset}
    codes = [{"value": int(v), "salient": int(s)} for v, s in zip(value, salient, strict=True)]
    codes += [{"value": zero, "salient": 0}] * (-len(codes) % CODES_PER_WORD)
    words = [codes[start : start + CODES_PER_WORD] for start in range(0, len(codes), CODES_PER_WORD)]
    return [{"header": header, "codes": word, "final": word is words[-1]} for word in words]


@pytest.mark.parametrize(
    ("lanes", "stall", "fraction", "shift"), [(1, 0.0, 0.2, 11), (2, 0.4, 0.0, 3), (4, 0.0, 0.1, 11), (8, 0.4, 0.3, 4)]
)
def test_tokens(run_streams: Callable[..., Any], lanes: int, stall: float, fraction: float, shift: int) -> None:
    spec = Spec(neurons=8, lanes=lanes, depth=lanes * 32, score_words=512)
    vectors = random_vectors(
        spec, outputs=1, inputs=lanes * 20 - 3, tokens=9, salient_fraction=fraction, max_shift=shift, seed=lanes
    )
    grain = token_grain(spec)
    starts = [(token % 2, 7 * token * grain) for token in range(9)]
    words = [
        word
        for token, (buffer, address) in enumerate(starts)
        for word in words_of(vectors, token, buffer=buffer, address=address)
    ]
    watch = ["write.data", "write.enable", "listed.data", "listed.enable", "token.data", "token.enable", "taking", "refused"]
    run = run_streams(
        LevelPacker(spec),
        {"i": words},
        [],
        until=lambda run: len(run.sent["i"]) == len(words) and not run.watched["taking"][-1],
        stall=stall,
        watch=watch,
    )
    assert not any(run.watched["refused"])
    rows: dict[tuple[int, int], list[Any]] = {}
    lists: dict[int, int] = {}
    tokens: list[Any] = []
    width = together(spec)
    for cycle in range(run.cycles):
        seen = {name: run.watched[name][cycle] for name in watch}
        if seen["write.enable"]:
            rows[int(seen["write.data"].place), int(seen["write.data"].group)] = list(seen["write.data"].levels)
        if seen["listed.enable"]:
            lists[int(seen["listed.data"].place)] = int(seen["listed.data"].row)
        if seen["token.enable"]:
            tokens.append(seen["token.data"])
    assert len(tokens) == len(starts)
    room = charge_room(spec)
    found_rooms = set()
    for number, (buffer, address) in enumerate(starts):
        base = buffer * 512 + address
        level, salient, m = vectors.level[number].astype(np.int64), vectors.salient[number], int(vectors.shift[number])
        fired = np.where(salient, level >> m, level)
        for k in range(len(level)):
            row, lane = divmod(k, lanes)
            stored = rows[base + row, lane // width][lane % width]
            assert (stored.level, stored.salient) == (fired[k], salient[k])
        listed = sorted({k // lanes for k in np.flatnonzero(salient & (level != 0))}) if m else []
        assert [lists[base + place] for place in range(len(listed))] == listed
        token = tokens[number].token
        assert tokens[number].place == base // grain
        assert token.listed == bool(listed)
        assert not listed or token.last_listed == len(listed) - 1
        assert token.last_row == (len(level) - 1 + -len(level) % CODES_PER_WORD) // lanes
        total = level_sum(spec, level, salient, m)
        rooms = (total < room.whole, total < room.high, total < room.low)
        assert (token.merged, token.high_fits, token.low_fits) == rooms
        found_rooms.add(rooms)
    # some that fit, and some that do not
    assert len(found_rooms) > 1
