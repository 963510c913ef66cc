"""Run a test bench in a simulator: ``python -m spikequant.cosim.simulator.process FOLDER TOP BENCH WORK ARGUMENT...``.

A process of its own keeps cocotb's environment variables and the simulator's output out of the caller.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from cocotb_tools.check_results import get_results
from cocotb_tools.runner import get_runner

import spikequant
from spikequant.cosim.simulator.verilator import tool_environment


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


def start_simulation(
    simulator: Path, top: str, bench: str, work: Path, arguments: Sequence[str], *, log: Path
) -> subprocess.Popen[bytes]:
    """Start ``run`` in a process of its own.

    Its Python imports what this process can import, but nothing from the current folder.

    Args:
        simulator: folder of the build.
        top: top module of the build.
        bench: Python module of the test bench.
        work: folder to run in.
        arguments: plus-arguments of the simulator, ``name=value``.
        log: file for everything that the process prints.
    """
    own = Path(spikequant.__path__[0]).parent
    others = [path for path in sys.path if path and Path(path).resolve() not in {Path.cwd(), own}]
    environment = tool_environment() | {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join([str(own), *others])}
    command = [sys.executable, "-m", __name__, str(simulator), top, bench, str(work), *arguments]
    with log.open("wb") as output:
        return subprocess.Popen(command, env=environment, stdout=output, stderr=output, stdin=subprocess.DEVNULL)


if __name__ == "__main__":
    sys.exit(0 if run(Path(sys.argv[1]), sys.argv[2], sys.argv[3], Path(sys.argv[4]), sys.argv[5:]) else 1)
