"""Simulator builds: what they need, what is kept, and what a failure says."""

import os
import shutil
from pathlib import Path

import pytest

from spikequant.cosim.simulator.build import BURST_TOP, SimulationError, build_bursts
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError


def put_tool(folder: Path, name: str, script: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def test_a_build_is_kept(device: SimulatedDevice, cache: Path, small: Spec, sources: dict[str, str]) -> None:
    simulator = device.simulator
    binary = simulator / BURST_TOP
    before, kept = binary.stat(), sorted(cache.iterdir())
    assert os.access(binary, os.X_OK)
    assert build_bursts(small, sources=sources, cache=cache) == simulator
    assert binary.stat().st_mtime_ns == before.st_mtime_ns
    assert sorted(cache.iterdir()) == kept
    assert simulator in kept


@pytest.mark.parametrize("tool", ["g++", "make", "perl"])
def test_a_missing_tool_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tool: str) -> None:
    for other in {"g++", "make", "perl"} - {tool}:
        put_tool(tmp_path / "bin", other, "exit 0")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(InputError, match=rf"tool {tool.replace('+', '.')}: not found on PATH, expected it installed"):
        tool_environment()


def test_the_tools_see_verilator_first_and_nothing_of_the_outer_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COCOTB_TEST_MODULES", "another")
    environment = tool_environment()
    verilator = shutil.which("verilator", path=environment["PATH"])
    assert verilator is not None
    assert Path(verilator).parent == Path(environment["PATH"].split(os.pathsep)[0])
    assert "CXX=g++" in environment["MAKEFLAGS"]
    # the outer pytest has set its own variables by now
    assert any(name.startswith("PYTEST_") for name in os.environ)
    assert not [name for name in environment if name.startswith(("COCOTB_", "PYTEST_"))]


def test_a_failed_build_says_where_its_log_is_and_is_not_kept(
    tmp_path: Path, logs: Path, small: Spec, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_tool(tmp_path / "bin", "make", "echo nothing to be made of $2 $3; exit 3")
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(SimulationError, match="building the simulator failed in make, see ") as caught:
        build_bursts(small, cache=tmp_path / "cache")
    log = Path(str(caught.value).rpartition("see ")[2])
    assert log.parent == logs
    assert "nothing to be made of" in log.read_text()
    assert list((tmp_path / "cache").iterdir()) == []
