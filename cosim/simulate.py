"""Build or run one simulation, in a process of its own.

The parent passes the environment that the tools need, so that nobody has to change their own:
``python -m cosim.simulate build VERILOG FOLDER`` and ``python -m cosim.simulate run FOLDER JOB``.
"""

import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from gen.verilog import TOP

BUILD_ARGUMENTS = ("-Wno-fatal", "-Wno-lint", "-Wno-style", "--x-initial", "0", "-O3", "-CFLAGS", "-O2")
"""Verilator's warnings are about Amaranth's style of Verilog, which its own tests cover."""


def build(verilog: Path, folder: Path) -> None:
    """Compile a Verilog file into a simulator in ``folder``."""
    get_runner("verilator").build(
        sources=[verilog],
        hdl_toplevel=TOP,
        build_dir=folder,
        build_args=list(BUILD_ARGUMENTS),
        timescale=("1ns", "1ps"),
    )


def run(folder: Path, job: Path) -> bool:
    """Run the test bench on a job; true if its test passed."""
    results = job.parent / "results.xml"
    get_runner("verilator").test(
        test_module="cosim.bench",
        hdl_toplevel=TOP,
        hdl_toplevel_lang="verilog",
        build_dir=folder,
        test_dir=job.parent,
        results_xml=str(results),
        plusargs=[f"+job={job}"],
        timescale=("1ns", "1ps"),
    )
    tests, failed = get_results(results)
    return tests == 1 and failed == 0


def main() -> int:
    """Dispatch on the first argument."""
    action, first, second = sys.argv[1:]
    if action == "build":
        build(Path(first), Path(second))
        return 0
    return 0 if run(Path(first), Path(second)) else 1


if __name__ == "__main__":
    sys.exit(main())
