"""A component alone on a device."""

from pathlib import Path
from typing import Any

import pytest

from spikequant.fpga.boards import DEVICES, find_board
from spikequant.fpga.build.build import STATISTICS, find_tools, make_plan, place_and_route_seeds, synthesize
from spikequant.fpga.build.core import make_design
from spikequant.fpga.build.report import read_synthesis_report
from spikequant.golden.support.errors import InputError


def commands(script: bytes) -> list[str]:
    lines = (" ".join(line.split()) for line in script.decode().splitlines())
    return [line for line in lines if line and not line.startswith("#")]


@pytest.mark.parametrize("board", ["ulx3s_25f", "ulx3s_45f", "ulx3s_85f"])
def test_the_tools_are_told_the_same_as_for_a_board(board: str, echo_class: Any) -> None:
    target = find_board(board)
    plan = make_plan(echo_class, board=target, frequency_hz=50e6, baud=1_000_000)
    design = make_design(echo_class, device=target.device, frequency_hz=50e6)
    assert commands(design.files["top.ys"]) == commands(plan.files["top.ys"])
    assert design.commands["yosys"] == plan.commands["yosys"]
    assert set(plan.commands["nextpnr-ecp5"]) <= set(design.commands["nextpnr-ecp5"])


def test_equal_components_give_equal_designs(echo_class: Any) -> None:
    first, second = (make_design(echo_class, device="LFE5U-25F", frequency_hz=50e6) for _ in range(2))
    assert first == second


def test_every_port_has_a_register_and_a_path_counts(echo_class: Any, build_cache: Path) -> None:
    tools = find_tools()
    design = make_design(echo_class, device="LFE5U-25F", frequency_hz=50e6)
    netlist = synthesize(design, tools, cache=build_cache)
    routed = place_and_route_seeds(
        design, tools, netlist, seeds=(1,), jobs=1, cache=build_cache, progress=lambda _step: None
    )
    used = routed[0].report.used
    # data, last and valid inside and at both sides, ready at both sides, and the reset; busy's is that of valid
    assert used.ffs == 3 * 34 + 2 + 1
    assert used.ebrs == used.dsps == 0
    assert routed[0].report.critical.achieved_mhz > 50
    assert read_synthesis_report(netlist / STATISTICS).ffs == used.ffs


def test_a_design_that_does_not_fit_names_the_device(
    echo_class: Any, build_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    design = make_design(echo_class, device="LFE5U-25F", frequency_hz=50e6)
    small = DEVICES["LFE5U-25F"].__class__(luts=10, ffs=10, ebrs=0, dsps=0)
    monkeypatch.setattr("spikequant.fpga.boards.DEVICES", {"LFE5U-25F": small})
    with pytest.raises(InputError, match=r"^LFE5U-25F: the design does not fit the LFE5U-25F: needs .* flip-flops"):
        synthesize(design, find_tools(), cache=build_cache)
