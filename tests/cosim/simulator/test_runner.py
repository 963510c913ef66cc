"""Jobs on a real simulator: results, stalls, and failures that say what happened."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from spikequant.cosim.simulator.build import SimulationError
from spikequant.cosim.simulator.job import Job, Recording
from spikequant.cosim.simulator.runner import run_job
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.packets import PacketError, parse_result
from spikequant.rtl.driver.program import gather, layer_program


@pytest.fixture(scope="module")
def vectors(small: Spec) -> LayerVectors:
    return random_vectors(small, outputs=8, inputs=16, tokens=4, max_shift=2, seed=1)


@pytest.fixture(scope="module")
def job(small: Spec, vectors: LayerVectors) -> Job:
    program = layer_program(small, vectors)
    return Job(packets=program.packets, results=len(program.places))


@pytest.fixture(scope="module")
def recording(simulator: Path, job: Job) -> Recording:
    """The job without stalls."""
    return run_job(simulator, job)


def output_of(small: Spec, vectors: LayerVectors, packets: list[np.ndarray]) -> LayerOutput:
    results = [parse_result(small, packet) for packet in packets]
    return gather(vectors, layer_program(small, vectors).places, results)


def log_of(error: pytest.ExceptionInfo[SimulationError]) -> str:
    return Path(str(error.value).rpartition("see ")[2]).read_text()


def test_results_and_figures(small: Spec, vectors: LayerVectors, job: Job, recording: Recording) -> None:
    output = output_of(small, vectors, recording.packets)
    golden = run_layer(vectors, small)
    assert not output.saturated.any()
    assert output.membrane.tolist() == golden.membrane.tolist()
    assert output.code.tolist() == golden.code.tolist()
    # every word takes a cycle at least
    assert recording.cycles > sum(len(packet) for packet in job.packets)
    assert recording.seconds > 0


def test_stalls_cost_cycles_and_repeat_with_their_seed(
    simulator: Path, job: Job, recording: Recording, logs: Path
) -> None:
    before = sorted(path.name for path in simulator.iterdir())
    told: list[int] = []
    runs = [
        run_job(simulator, replace(job, stall_probability=0.5, seed=seed), progress=told.append) for seed in (1, 1, 2)
    ]
    for run in runs:
        assert run.cycles > recording.cycles
        for packet, reference in zip(run.packets, recording.packets, strict=True):
            # all but the totals, which depend on the time at which they are taken
            assert packet[:-2].tolist() == reference[:-2].tolist()
    assert runs[0].cycles == runs[1].cycles != runs[2].cycles
    assert set(told) <= set(range(job.results + 1))
    # nothing is left behind, neither files of the jobs nor logs
    assert list(logs.iterdir()) == []
    assert sorted(path.name for path in simulator.iterdir()) == before


def test_a_hang_is_found_and_its_log_kept(simulator: Path, job: Job, logs: Path) -> None:
    with pytest.raises(SimulationError, match="the simulation failed, see ") as caught:
        run_job(simulator, replace(job, results=job.results + 1))
    assert Path(str(caught.value).rpartition("see ")[2]).parent == logs
    assert "SimTimeoutError" in log_of(caught)


def test_a_simulator_that_dies_is_found(tmp_path: Path, job: Job, logs: Path) -> None:
    with pytest.raises(SimulationError, match="the simulation failed, see ") as caught:
        run_job(tmp_path / "nowhere", job)
    assert list(logs.iterdir())
    assert "nowhere" in log_of(caught)


def test_a_refused_packet_shows_in_the_results(simulator: Path, small: Spec, job: Job) -> None:
    bad = np.array([15, 1, 2], np.uint32)
    recording = run_job(simulator, replace(job, packets=[bad, *job.packets]))
    with pytest.raises(PacketError, match="the accelerator refused a packet"):
        parse_result(small, recording.packets[-1])
