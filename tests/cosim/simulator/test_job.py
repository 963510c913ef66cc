"""Jobs and recordings come back from their files as they went in."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from spikequant.cosim.simulator.job import Job, Recording, read_progress, write_progress

packet_lists = st.lists(
    st.lists(st.integers(0, 2**32 - 1), max_size=5).map(lambda words: np.array(words, np.uint32)), max_size=5
)

in_a_folder = settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])


def as_lists(packets: list[np.ndarray]) -> list[list[int]]:
    return [packet.tolist() for packet in packets]


@in_a_folder
@given(
    packets=packet_lists,
    results=st.integers(0, 10**6),
    stall_probability=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
)
def test_a_job(tmp_path: Path, packets: list[np.ndarray], results: int, stall_probability: float, seed: int) -> None:
    job = Job(packets=packets, results=results, stall_probability=stall_probability, seed=seed)
    job.save(tmp_path)
    loaded = Job.load(tmp_path)
    assert as_lists(loaded.packets) == as_lists(packets)
    assert all(packet.dtype == np.uint32 for packet in loaded.packets)
    assert (loaded.results, loaded.stall_probability, loaded.seed) == (results, stall_probability, seed)


@in_a_folder
@given(packets=packet_lists, cycles=st.integers(0, 2**53), seconds=st.floats(0, 1e6))
def test_a_recording(tmp_path: Path, packets: list[np.ndarray], cycles: int, seconds: float) -> None:
    Recording(packets=packets, cycles=cycles, seconds=seconds).save(tmp_path)
    loaded = Recording.load(tmp_path)
    assert as_lists(loaded.packets) == as_lists(packets)
    assert (loaded.cycles, loaded.seconds) == (cycles, seconds)


def test_progress(tmp_path: Path) -> None:
    assert read_progress(tmp_path) == 0
    for results in (1, 25, 3000):
        write_progress(tmp_path, results)
        assert read_progress(tmp_path) == results


@pytest.mark.parametrize("text", ["", "2 of"])
def test_progress_that_is_just_being_written(tmp_path: Path, text: str) -> None:
    write_progress(tmp_path, 7)
    (tmp_path / "progress").write_text(text)
    assert read_progress(tmp_path) == 0
