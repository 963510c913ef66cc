"""Run one simulation: ``python -m cosim.simulate FOLDER JOB``.

In a process of its own, so that the simulator's environment and output stay out of the caller's.
"""

import sys
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

from gen.verilog import TOP


def run(folder: Path, job: Path) -> bool:
    """Run the test bench on a job with the simulator in ``folder``; true if its test passed."""
    results = job.parent / "results.xml"
    get_runner("verilator").test(
        test_module="cosim.bench",
        hdl_toplevel=TOP,
        hdl_toplevel_lang="verilog",
        build_dir=folder,
        test_dir=job.parent,
        results_xml=str(results),
        plusargs=[f"+job={job}"],
    )
    tests, failed = get_results(results)
    return tests == 1 and failed == 0


if __name__ == "__main__":
    sys.exit(0 if run(Path(sys.argv[1]), Path(sys.argv[2])) else 1)
