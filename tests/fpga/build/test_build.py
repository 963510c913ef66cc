"""Real synthesis, placement, routing and packing of small designs."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module
from amaranth.lib.memory import Memory

from spikequant.fpga.boards import find_board
from spikequant.fpga.build.build import BITSTREAM, RECORD, Design, find_tools, make_plan, place_and_route_seeds
from spikequant.fpga.build.fastest import most_runs
from spikequant.fpga.build.report import read_packed_resources, read_route_report, read_synthesis_report
from spikequant.fpga.synth import STEPS_BESIDE_SEEDS, SynthResult, run_synth
from spikequant.fpga.toolchain import CONSOLE, ToolError
from spikequant.golden.support.errors import InputError


def build(make_core: Callable[[], Any], out: Path, cache: Path, **changes: Any) -> SynthResult:
    options: dict[str, Any] = {
        "config": "echo",
        "board": find_board("ulx3s_85f"),
        "tools": find_tools(),
        "frequency_hz": 50e6,
        "baud": 1_000_000,
        "seeds": (1, 2),
        "jobs": 1,
        "allow_timing_failure": False,
        "progress": lambda _step: None,
    }
    return run_synth(make_core, out=out, cache=cache, **(options | changes))


@pytest.fixture(scope="session")
def built(echo_class: Any, build_cache: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[SynthResult, Path]:
    """A loop-back design on the largest board, from two seeds."""
    out = tmp_path_factory.mktemp("out")
    return build(echo_class, out, build_cache), out


def test_the_best_seed_becomes_a_bitstream(built: tuple[SynthResult, Path]) -> None:
    result, out = built
    figures = result.figures()
    assert figures.timing_met
    assert (figures.board, figures.device) == ("ulx3s_85f", "LFE5U-85F")
    assert figures.frequency_mhz == pytest.approx(50)
    assert len(figures.fmax_mhz) == 2
    assert figures.seed == 1 + figures.fmax_mhz.index(max(figures.fmax_mhz))
    assert [figures.clock.smallest_mhz, figures.clock.largest_mhz] == sorted(figures.fmax_mhz)
    assert figures.clock.median_mhz == pytest.approx(sum(figures.fmax_mhz) / 2)
    assert figures.clock.seeds_met == [1, 2]
    assert [(run.seed, run.fmax_mhz) for run in figures.runs] == list(enumerate(figures.fmax_mhz, start=1))
    assert result.summary().endswith("; seeds that meet 50.0 MHz: 1, 2")
    content = (out / BITSTREAM).read_bytes()
    assert hashlib.sha256(content).hexdigest() == figures.bitstream_sha256
    assert b"LFE5U-85F-6CABGA381" in content[:100]
    logs = {"yosys.log", "nextpnr-seed1.log", "nextpnr-seed2.log", "nextpnr-seed1.json", "nextpnr-seed2.json"}
    assert {path.name for path in out.iterdir()} == logs | {BITSTREAM, RECORD}


def test_reports_agree_with_each_other(built: tuple[SynthResult, Path], build_cache: Path) -> None:
    result, out = built
    routed = result.routed[0]
    report = read_route_report(out / "nextpnr-seed1.json")
    assert report == routed.report
    log = (routed.folder / CONSOLE).read_text()
    assert read_packed_resources(log) == report.used
    assert f"{report.critical.achieved_mhz:.2f} MHz (PASS at 50.00 MHz)" in log
    statistics = next(build_cache.glob("yosys-*/top.stat.json"))
    synthesized = read_synthesis_report(statistics)
    # the packer only adds LUTs
    assert synthesized == replace(report.used, luts=synthesized.luts)
    assert 0.8 * report.used.luts < synthesized.luts <= report.used.luts
    assert (report.used.ebrs, report.used.dsps) == (2, 0)
    assert 100 < report.used.ffs < 1000


def test_a_build_again_gives_the_same_bitstream(
    built: tuple[SynthResult, Path], echo_class: Any, tmp_path: Path
) -> None:
    first, _ = built
    again = build(echo_class, tmp_path / "out", tmp_path / "cache", seeds=(first.chosen.seed,))
    assert again.bitstream is not None
    assert first.bitstream is not None
    assert again.bitstream.content == first.bitstream.content


def test_a_build_again_with_the_cache_runs_no_tool(
    built: tuple[SynthResult, Path], echo_class: Any, build_cache: Path, tmp_path: Path
) -> None:
    first, _ = built
    tools = find_tools()
    absent = replace(tools, **{name: replace(getattr(tools, name), path=tmp_path / "absent") for name in vars(tools)})
    steps: list[str] = []
    again = build(echo_class, tmp_path, build_cache, tools=absent, progress=steps.append)
    assert again.figures() == first.figures()
    assert len(steps) == 2 + STEPS_BESIDE_SEEDS
    with pytest.raises(FileNotFoundError, match="absent"):
        build(echo_class, tmp_path, build_cache, tools=absent, seeds=(3,))


def test_a_missed_clock_leaves_no_bitstream_unless_allowed(echo_class: Any, build_cache: Path, tmp_path: Path) -> None:
    (tmp_path / BITSTREAM).write_bytes(b"of an earlier build")
    too_fast = {"board": find_board("ulx3s_25f"), "frequency_hz": 400e6, "seeds": (1,)}
    refused = build(echo_class, tmp_path, build_cache, **too_fast)
    assert not refused.timing_met
    assert refused.bitstream is None
    assert refused.figures().bitstream_sha256 is None
    assert refused.clock().seeds_met == []
    assert "expected 400.0 MHz; --allow-timing-failure" in refused.shortfall()
    assert {path.name for path in tmp_path.iterdir()} == {"yosys.log", "nextpnr-seed1.log", "nextpnr-seed1.json"}
    allowed = build(echo_class, tmp_path, build_cache, **too_fast, allow_timing_failure=True)
    assert not allowed.figures().timing_met
    assert allowed.bitstream is not None
    assert (tmp_path / BITSTREAM).read_bytes() == allowed.bitstream.content


@pytest.mark.long
def test_the_fastest_clock_is_searched_for(echo_class: Any, build_cache: Path, tmp_path: Path) -> None:
    result = build(echo_class, tmp_path, build_cache, frequency_hz=None, seeds=(1,))
    assert result.timing_met
    assert result.plan.pll.output_hz == max(one.clock_hz for one in result.tried if one.met)
    assert result.clock().seeds_met == [1]
    figures = result.figures()
    assert len(figures.runs) <= most_runs(1)
    # the next clock of the PLL is not 5 % faster
    assert figures.frequency_mhz <= figures.fmax_mhz[0] < 1.05 * figures.frequency_mhz
    assert result.bitstream is not None
    assert (tmp_path / BITSTREAM).read_bytes() == result.bitstream.content
    # the same netlist has the same paths for another clock
    by_divisor: dict[int, set[float]] = {}
    for one in result.tried:
        by_divisor.setdefault(one.plan.divisor, set()).add(one.achieved_mhz(one.best))
    assert all(len(clocks) == 1 for clocks in by_divisor.values())


def test_a_design_with_too_many_block_rams_is_refused_after_synthesis(
    echo_class: Any, build_cache: Path, tmp_path: Path
) -> None:
    class Large(echo_class):  # type: ignore[misc, valid-type]
        """A loop-back through 64 block RAMs."""

        def elaborate(self, platform: object) -> Module:
            m: Module = super().elaborate(platform)
            m.submodules.memory = memory = Memory(shape=32, depth=2**15, init=[])
            write, read = memory.write_port(), memory.read_port()
            m.d.comb += [write.addr.eq(self.s_axis_tdata), write.data.eq(self.s_axis_tdata), write.en.eq(1)]
            m.d.comb += [read.addr.eq(self.s_axis_tdata >> 15), self.busy.eq(read.data.xor())]
            return m

    steps: list[str] = []
    with pytest.raises(InputError, match=r"^board ulx3s_25f: the design does not fit the LFE5U-25F: needs 66 EBRs"):
        build(Large, tmp_path, build_cache, board=find_board("ulx3s_25f"), progress=steps.append)
    assert steps == ["synthesizing"]
    assert list(tmp_path.iterdir()) == []


def test_a_failing_tool_is_one_line_with_its_log(echo_class: Any, build_cache: Path, tmp_path: Path) -> None:
    tools = find_tools()
    # ecppack reads no netlists
    wrong = replace(tools, nextpnr=replace(tools.ecppack, name="nextpnr-ecp5"))
    with pytest.raises(ToolError) as caught:
        build(echo_class, tmp_path, build_cache, tools=wrong, seeds=(7,))
    message = str(caught.value)
    assert message.startswith("nextpnr-ecp5 failed (status 1): ")
    assert "\n" not in message
    log = Path(message.rpartition(" ")[2])
    assert log.parent == build_cache
    assert log.read_text() == caught.value.console
    assert not (tmp_path / BITSTREAM).exists()


def test_a_failing_seed_stops_the_others(tmp_path: Path) -> None:
    router = tmp_path / "router"
    router.write_text(
        '#!/bin/sh\ncase "$*" in *"--seed 1 "*) sleep 1; echo ERROR: full; exit 1;; esac\nexec sleep 60\n'
    )
    router.chmod(0o755)
    (tmp_path / "top.json").write_text('{"modules": {}}')
    tools = find_tools()
    tools = replace(tools, nextpnr=replace(tools.nextpnr, path=router))
    design = Design("LFE5U-25F", "LFE5U-25F", files={"top.lpf": b""}, commands={"nextpnr-ecp5": []})
    began = time.monotonic()
    with pytest.raises(ToolError, match="full"):
        place_and_route_seeds(
            design, tools, tmp_path, seeds=(1, 2), jobs=2, cache=tmp_path / "cache", progress=lambda _step: None
        )
    assert time.monotonic() - began < 20
    assert [path.suffix for path in (tmp_path / "cache").iterdir()] == [".log"]


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"frequency_hz": 5e6}, "frequency: 5 MHz"),
        ({"frequency_hz": 800e6}, "frequency: 800 MHz"),
        ({"baud": 50_000_000}, "baud: 50000000"),
    ],
)
def test_what_the_board_cannot_make_is_refused(echo_class: Any, changes: dict[str, Any], expected: str) -> None:
    options = {"board": find_board("ulx3s_85f"), "frequency_hz": 50e6, "baud": 1_000_000}
    with pytest.raises(InputError, match=f"^{expected} "):
        make_plan(echo_class, **(options | changes))


def test_equal_components_give_equal_plans(echo_class: Any) -> None:
    options: dict[str, Any] = {"board": find_board("ulx3s_85f"), "frequency_hz": 50e6, "baud": 1_000_000}
    first = make_plan(echo_class, **options)
    assert first == make_plan(echo_class, **options)
    assert b'LOCATE COMP "uart_0__tx__io" SITE "L4"' in first.files["top.lpf"]
