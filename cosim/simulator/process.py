"""Run one simulation: ``python -m spikequant.cosim.simulator.process FOLDER TOP BENCH WORK ARGUMENT...``.

In a process of its own, so that the simulator's environment and output stay out of the caller's.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner


def run(folder: Path, top: str, bench: str, work: Path, arguments: Sequence[str]) -> bool:
    """Run a test bench; true if its test passed.

    Args:
        folder: of the simulator.
        top: its top module.
        bench: module of the test bench.
        work: folder to run in.
        arguments: what the bench reads as plus-arguments, ``name=value``.
    """
    results = work / "results.xml"
    get_runner("verilator").test(
        test_module=bench,
        hdl_toplevel=top,
        hdl_toplevel_lang="verilog",
        build_dir=folder,
        test_dir=work,
        results_xml=str(results),
        plusargs=[f"+{argument}" for argument in arguments],
    )
    tests, failed = get_results(results)
    return tests == 1 and failed == 0


if __name__ == "__main__":
    sys.exit(0 if run(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5:]) else 1)
