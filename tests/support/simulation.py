"""One simulator build for all tests of a run, in a cache of its own, and logs that stay in the test's folder."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from spikequant.cosim.simulator.build import accelerator_sources, build_simulator
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec


@pytest.fixture(scope="session")
def small() -> Spec:
    """The spec that most tests share, because each spec takes its time to compile."""
    return Spec(neurons=8, lanes=2, depth=16, membrane_slots=3)


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def sources(small: Spec) -> dict[str, str]:
    """Its Verilog, because to generate it takes seconds."""
    return accelerator_sources(small)


@pytest.fixture(scope="session")
def simulator(cache: Path, small: Spec, sources: dict[str, str]) -> Path:
    return build_simulator(small, sources=sources, cache=cache)


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where logs of failures are kept during the test."""
    folder = tmp_path / "logs"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="session")
def device(cache: Path, small: Spec, sources: dict[str, str]) -> Iterator[SimulatedDevice]:
    """A simulator that stays for all tests, as it does for all layers of a model."""
    with SimulatedDevice(small, sources=sources, cache=cache) as running:
        yield running
