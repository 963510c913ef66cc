from pathlib import Path

import pytest

from fpga.fuzz import FuzzError, build_fuzzer, fuzz


@pytest.fixture(scope="module")
def program(build_cache: Path) -> Path:
    return build_fuzzer(cache=build_cache)


def test_no_frame_makes_the_board_do_wrong(program: Path) -> None:
    figures = fuzz(program, frames=20_000, seed=5, seconds=120)
    assert figures["ok"]
    assert figures["frames"] >= 20_000
    # all kinds of frames were among them
    assert all(figures[name] > 100 for name in ("taken", "damaged", "refused", "overruns", "words", "result_words"))
    assert figures["sessions"] > 10


def test_a_fuzzer_that_does_not_end_is_a_failure(program: Path) -> None:
    with pytest.raises(FuzzError, match=r"^seed 5: not over after 0.2 s$"):
        fuzz(program, frames=100_000_000, seed=5, seconds=0.2)


def test_what_the_program_finds_is_told_in_one_line(tmp_path: Path) -> None:
    program = tmp_path / "link"
    program.write_text("#!/bin/sh\necho 'after 7 frames, 9 cycles: a wrong word is delivered'\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(FuzzError, match=r"^seed 3: after 7 frames, 9 cycles: a wrong word is delivered$"):
        fuzz(program, frames=1, seed=3, seconds=5)
