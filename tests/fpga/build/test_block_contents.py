"""Contents of block RAMs in the files of the tools."""

import json

import numpy as np
import pytest

from spikequant.fpga.build.block_contents import CONTENT_WORDS, read_contents, with_contents
from spikequant.fpga.toolchain import ToolError


def netlist(*names: str) -> bytes:
    cells = {name: {"type": "DP16KD", "parameters": {"GSR": "DISABLED"}} for name in names}
    return json.dumps({"modules": {"top": {"cells": cells}}}).encode()


def test_a_netlist_takes_contents_by_the_ends_of_names() -> None:
    content = np.arange(CONTENT_WORDS, dtype=np.uint16) % 512
    new = json.loads(with_contents(netlist("core.a.block_1", "core.a.block_11"), {"a.block_1": content}))
    cells = new["modules"]["top"]["cells"]
    assert cells["core.a.block_11"]["parameters"] == {"GSR": "DISABLED"}
    parameters = cells["core.a.block_1"]["parameters"]
    assert len(parameters) == 65
    rows = [parameters[f"INITVAL_{number:02X}"] for number in range(64)]
    assert {len(row) for row in rows} == {320}
    # sixteen rows of two words, in twenty bits each
    assert int(rows[1], 2) >> 20 & 0xFFFFF == 34 | 35 << 9
    for names in (("core.ba.block_1",), ("x.a.block_1", "y.a.block_1")):
        with pytest.raises(
            ToolError, match=r"^netlist: [02] block RAMs have names that end with a\.block_1, expected one$"
        ):
            with_contents(netlist(*names), {"a.block_1": content})


def test_a_configuration_has_contents_by_number() -> None:
    content = np.arange(CONTENT_WORDS, dtype=np.uint16) % 512
    words = "\n".join(" ".join(f"{word:03x}" for word in row) for row in content.reshape(-1, 8))
    text = f".device LFE5U-25F\n\n.tile A\narc: B C\n\n.bram_init 7\n{words}\n\n.bram_init 12\n{words}\n"
    found = read_contents(text)
    assert list(found) == [7, 12]
    np.testing.assert_array_equal(found[12], content)
    for word in ("1ffff", "-1", "200"):
        with pytest.raises(ValueError, match=r"^\.bram_init 7: a word has more than nine bits$"):
            read_contents(text.replace("000", word, 1))
    with pytest.raises(ValueError, match=r"^\.bram_init 7: 2040 words, expected 2048$"):
        read_contents(text.replace(words[:32], "", 1))
