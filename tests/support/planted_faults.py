"""Copies of the project with a planted fault, and the command that must find it."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("golden", "rtl", "cosim", "fpga", "benchmarks", "gen")


def run_formal(folder: Path, root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command with the sources under ``root``."""
    program = "from spikequant.gen.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, "formal", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=1200,
    )


@pytest.fixture(name="run_formal")
def run_formal_fixture(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    return lambda *arguments: run_formal(tmp_path, ROOT / "src", *arguments)


@pytest.fixture(name="with_fault")
def with_fault_fixture(tmp_path: Path) -> Callable[[str, str, str, str], dict[str, Any]]:
    """Replace a text, which must be there, in a source file; return the command's figures of a property."""

    def with_fault(name: str, file: str, old: str, new: str) -> dict[str, Any]:
        copy = tmp_path / "copy"
        for package in PACKAGES:
            shutil.copytree(ROOT / package, copy / "spikequant" / package, ignore=shutil.ignore_patterns("__pycache__"))
        (copy / "spikequant" / "__init__.py").touch()
        source = copy / "spikequant" / file
        text = source.read_text(encoding="utf-8")
        assert old in text, f"{file} has no {old}"
        source.write_text(text.replace(old, new, 1), encoding="utf-8")
        arguments = ("--only", name, "--json", "result.json", "--out", str(tmp_path / "formal"))
        done = run_formal(tmp_path, copy, *arguments)
        assert done.returncode in {0, 1}, done.stderr
        result: dict[str, Any] = json.loads((tmp_path / "result.json").read_text())
        return result

    return with_fault
