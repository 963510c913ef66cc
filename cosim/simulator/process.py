"""Run a test bench in a simulator: ``python -m spikequant.cosim.simulator.process FOLDER TOP BENCH WORK ARGUMENT...``.

A process of its own keeps cocotb's environment variables and the simulator's output out of the caller.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner


def run(folder: Path, top: str, bench: str, work: Path, arguments: Sequence[str]) -> bool:
    """Run a test bench; return whether its test passed.

    Args:
        folder: simulator build.
        top: top module of the build.
        bench: Python module of the test bench.
        work: folder to run in.
        arguments: plus-arguments of the simulator, ``name=value``.
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
