"""Fixtures: one simulator build for all tests of a run in a cache of its own, and logs in the test's folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikequant.cosim.simulator.build import accelerator_sources
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec


@pytest.fixture(scope="session")
def small() -> Spec:
    """The spec that most tests share, because every spec takes its time to compile."""
    return Spec(neurons=8, lanes=2, depth=16, membrane_slots=3)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def sources(small: Spec) -> dict[str, str]:
    """Verilog of the shared spec, which takes seconds to generate."""
    return accelerator_sources(small)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder in which logs of failures are kept during the test."""
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def device(cache: Path, small: Spec, sources: dict[str, str]) -> Iterator[SimulatedDevice]:
    """A simulator that all tests share, as all layers of a model do."""
    with SimulatedDevice(small, sources=sources, cache=cache) as running:
        yield running
