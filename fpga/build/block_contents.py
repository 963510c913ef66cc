"""Initial contents of block RAMs: written to netlists, read from configurations."""

import json
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from spikequant.fpga.toolchain import ToolError

BLOCK_RAM = "DP16KD"
"""Type of the cell; block RAMs with rows of 36 bits are of another type, which is not needed here."""

Content = NDArray[np.uint16]
"""Contents of a block RAM as nine-bit words [2048], as in the bitstream."""

CONTENT_WORDS = 2048

ROWS_PER_PARAMETER = 16
"""Rows of 18 bits in one INITVAL parameter, padded to 20 bits each."""


def with_contents(netlist: bytes, contents: Mapping[str, Content]) -> bytes:
    """Set the initial contents of a netlist's block RAMs.

    Args:
        netlist: JSON from Yosys or nextpnr.
        contents: by the end of a cell's name.

    Raises:
        ToolError: no block RAM, or more than one, has such a name.
    """
    if not contents:
        return netlist
    design = json.loads(netlist)
    cells = [
        (name, cell)
        for module in design["modules"].values()
        for name, cell in module["cells"].items()
        if cell["type"] == BLOCK_RAM
    ]
    for end, content in contents.items():
        found = [cell for name, cell in cells if f".{name}".endswith(f".{end}")]
        if len(found) != 1:
            raise ToolError(
                f"netlist: {len(found)} block RAMs have names that end with {end}, expected one", console=""
            )
        found[0]["parameters"] |= _parameters(content)
    return json.dumps(design, separators=(",", ":")).encode()


def _parameters(content: Content) -> dict[str, str]:
    halves = content.astype(np.uint32).reshape(-1, 2)
    rows = [f"{row:020b}" for row in halves[:, 0] | halves[:, 1] << 9]
    return {
        f"INITVAL_{start // ROWS_PER_PARAMETER:02X}": "".join(reversed(rows[start : start + ROWS_PER_PARAMETER]))
        for start in range(0, len(rows), ROWS_PER_PARAMETER)
    }


def read_contents(configuration: str) -> dict[int, Content]:
    """Contents of all block RAMs by number, from a configuration by nextpnr or ecpunpack.

    Raises:
        ValueError: the configuration is malformed.
    """
    contents = {}
    for section in configuration.split("\n\n"):
        opening, *lines = section.strip().split("\n")
        if not opening.startswith(".bram_init "):
            continue
        words = [int(word, 16) for line in lines for word in line.split()]
        if not all(0 <= word < 2**9 for word in words):
            raise ValueError(f"{opening}: a word has more than nine bits")
        content = np.array(words, np.uint16)
        if len(content) != CONTENT_WORDS:
            raise ValueError(f"{opening}: {len(content)} words, expected {CONTENT_WORDS}")
        contents[int(opening.split()[1])] = content
    return contents
