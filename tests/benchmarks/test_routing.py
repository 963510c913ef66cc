"""One real build of the smallest array."""

from dataclasses import replace
from pathlib import Path

import pytest

from spikequant.benchmarks import designs
from spikequant.benchmarks.designs import Designs
from spikequant.benchmarks.routing import Router, Seed, gather
from spikequant.benchmarks.shapes import Candidate
from spikequant.fpga.boards import Resources
from spikequant.fpga.build.build import Tools, find_tools
from spikequant.fpga.estimate.prices import PACKING
from spikequant.golden.layer.spec import Spec


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("builds")


def make_router(tools: Tools, cache: Path) -> Router:
    return Router(tools, Designs(cache), cache)


def test_every_seed_is_routed_once(smallest: Spec, cache: Path, tmp_path: Path) -> None:
    tools = find_tools()
    candidate = Candidate("spiking", "smallest", smallest)
    assert make_router(tools, cache).kept(candidate, "LFE5U-25F", 1) is None
    found = make_router(tools, cache).build(candidate, "LFE5U-25F", 1)
    assert found.used is not None
    assert found.used.luts == sum(found.luts.values()) > 300
    assert found.used.ffs == sum(found.ffs.values()) > 300
    assert {"array", "encoder", "neurons", "readout", PACKING} <= set(found.luts)
    assert found.fmax_mhz > 50
    assert found.slowest is not None
    assert found.slowest.delay_ns == pytest.approx(1e3 / found.fmax_mhz, rel=0.01)
    assert 0 < found.slowest.wires_ns < found.slowest.delay_ns
    assert {found.slowest.start, found.slowest.end} <= set(found.ffs)
    absent = replace(tools, **{name: replace(getattr(tools, name), path=tmp_path / "absent") for name in vars(tools)})
    again = make_router(absent, cache)
    assert again.kept(candidate, "LFE5U-25F", 1) == again.build(candidate, "LFE5U-25F", 1) == found
    # another part is another placement of the same netlist, and what needs none is kept
    assert again.kept(candidate, "LFE5U-45F", 1) is None
    assert {path.name.partition("-")[0] for path in cache.iterdir()} == {"design", "yosys", "trimmed", "routing"}


def test_a_tool_that_fails_is_why_an_array_is_skipped(smallest: Spec, cache: Path, tmp_path: Path) -> None:
    tools = find_tools()
    failing = tmp_path / "nextpnr"
    for status, kept in ((1, True), (137, False)):
        failing.write_text(f"#!/bin/sh\necho ERROR: no way\nexit {status}\n")
        failing.chmod(0o755)
        router = make_router(replace(tools, nextpnr=replace(tools.nextpnr, path=failing, version=str(status))), cache)
        candidate = Candidate("spiking", "smallest", smallest)
        found = router.build(candidate, "LFE5U-25F", 2)
        assert found.used is None
        assert "ERROR: no way" in found.skipped
        assert (router.kept(candidate, "LFE5U-25F", 2) == found) is kept


def test_results_are_kept_by_the_design_and_not_by_its_sources(
    smallest: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    core, failing, cache = tmp_path / "core.py", tmp_path / "yosys", tmp_path / "cache"
    monkeypatch.setattr(designs, "CORE", core)
    failing.write_text("#!/bin/sh\necho ERROR: no way\nexit 1\n")
    failing.chmod(0o755)
    found = find_tools()
    tools = replace(found, yosys=replace(found.yosys, path=failing))
    candidate = Candidate("spiking", "smallest", smallest)
    core.write_text("as it was imported")
    router = make_router(tools, cache)
    core.write_text("edited during the run")
    assert "ERROR: no way" in router.build(candidate, "LFE5U-25F", 1).skipped
    assert len(list(cache.glob("design-*"))) == 1
    # elaborated again, to the same design
    assert make_router(tools, cache).kept(candidate, "LFE5U-25F", 1) == router.kept(candidate, "LFE5U-25F", 1)
    assert len(list(cache.glob("design-*"))) == 2


def test_each_array_depends_on_its_own_sources_alone(
    smallest: Spec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    candidates = [Candidate(array, "smallest", smallest) for array in ("spiking", "mac")]

    def elaborate() -> list[bytes]:
        made = Designs(tmp_path)
        return [made.design(one, device="LFE5U-25F", frequency_hz=1e6).files["top.il"] for one in candidates]

    before = elaborate()
    assert before[0] != before[1]
    real = designs.digest_sources
    twin = designs.ELABORATED["mac"][-1]
    monkeypatch.setattr(designs, "digest_sources", lambda package: "edited" if package is twin else real(package))
    assert elaborate() == before
    assert len(list(tmp_path.glob("design-*"))) == 3


def test_an_array_that_is_too_large_is_skipped_with_the_reason(tmp_path: Path) -> None:
    candidate = Candidate("spiking", "64x8", Spec(lanes=8, depth=4088))
    found = make_router(find_tools(), tmp_path).kept(candidate, "LFE5U-25F", 1)
    assert found is not None
    assert found.skipped == "its weights alone take 60 EBRs, the LFE5U-25F has 56"


def test_seeds_come_together(smallest: Spec) -> None:
    candidate = Candidate("spiking", "smallest", smallest)
    used = Resources(luts=7, ffs=8, ebrs=9, dsps=0)
    seed = Seed(used=used, luts={"array": 7}, ffs={"array": 8}, fmax_mhz=100.0)
    slow, none = seed.model_copy(update={"fmax_mhz": 90.0}), Seed(skipped="no way")
    found = gather(candidate, "LFE5U-25F", {1: none, 2: seed, 3: slow, 4: None})
    assert (found.seeds, found.fmax_mhz, found.median_mhz) == ((2, 3), (100.0, 90.0), 95.0)
    assert (found.used, found.skipped, found.missing) == (seed.used, "", (4,))
    assert gather(candidate, "LFE5U-25F", {1: none, 2: None}).skipped == "no way"
