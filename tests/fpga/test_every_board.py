from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from spikequant.fpga.boards import DEVICES, SIZED, find_board
from spikequant.fpga.build.build import find_tools
from spikequant.fpga.every_board import BoardsFigures, boards_table, build_boards, steps_per_board
from spikequant.golden.layer.spec import PRESETS


def test_each_part_has_a_preset() -> None:
    assert set(SIZED) == set(DEVICES)
    assert set(SIZED.values()) <= set(PRESETS)


@pytest.mark.long
def test_a_board_is_built_twice_and_compared(tmp_path: Path, build_cache: Path, smallest_file: Path) -> None:
    kept: list[BoardsFigures] = []
    steps: list[str] = []
    (built,) = build_boards(
        {find_board("ulx3s_25f"): str(smallest_file)},
        tools=find_tools(),
        frequency_hz=30e6,
        seeds=(1,),
        jobs=1,
        twice=True,
        out=tmp_path,
        cache=build_cache,
        progress=lambda _board, step: steps.append(step),
        keep=kept.append,
    )
    (figures,) = kept
    assert figures.ok
    (board,) = figures.boards
    assert (board.board, board.timing_met, board.ok) == ("ulx3s_25f", True, True)
    assert board.second_sha256 == board.bitstream_sha256
    assert (tmp_path / "ulx3s_25f" / str(board.bitstream)).is_file()
    assert len(steps) == steps_per_board(1, twice=True)

    other = replace(built, again="0" * 64)
    assert built.ok
    assert not other.ok
    console = Console(width=80)
    with console.capture() as shown:
        console.print(boards_table([built, other, replace(built, again=None)]))
    assert [line.split()[-1] for line in shown.get().splitlines()[-3:]] == ["same", "OTHER", "-"]
