"""What is collected must not depend on the moment or on the order of a hash: parallel workers compare their lists."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def collected(hash_seed: int) -> list[str]:
    """Collect all tests in a process of its own: their names in order."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "--verbosity=-1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": str(hash_seed), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=300,
    )
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_two_runs_collect_the_same_tests() -> None:
    first = collected(1)
    assert len(first) > 100
    # seconds later
    assert collected(2) == first
