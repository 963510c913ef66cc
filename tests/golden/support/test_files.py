"""Files appear whole or not at all."""

import json
import stat
from pathlib import Path

import numpy as np
import pytest

from spikequant.golden.layer.vectors import save_arrays
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import (
    check_folder,
    check_writable,
    replace_file,
    writable_folder,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_takes_its_name_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "result.txt"
    with replace_file(path) as beside:
        beside.write_text("all of it")
        assert not path.exists()
        assert beside.parent == path.parent
    assert path.read_text() == "all of it"
    assert names(path.parent) == ["result.txt"]


@pytest.mark.parametrize("old", [None, "old"])
def test_a_failure_in_the_middle_leaves_nothing_behind(tmp_path: Path, old: str | None) -> None:
    path = tmp_path / "result.txt"
    if old is not None:
        path.write_text(old)

    def write_half() -> None:
        with replace_file(path) as beside:
            beside.write_text("half of")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert names(tmp_path) == ([] if old is None else ["result.txt"])
    assert old is None or path.read_text() == old


def test_arrays_that_cannot_be_written_leave_nothing_behind(tmp_path: Path) -> None:
    unwritable = np.array([lambda: None], dtype=object)
    with pytest.raises(AttributeError, match="pickle"):
        save_arrays(tmp_path / "layer.npz", {"good": np.zeros(3), "bad": unwritable})
    assert names(tmp_path) == []


def test_values_that_are_no_json_leave_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="serializable"):
        write_json(tmp_path / "result.json", {"value": object()})
    assert names(tmp_path) == []


def test_an_old_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    write_json(path, {"ok": False, "long": "x" * 1000})
    write_json(path, {"ok": True})
    assert json.loads(path.read_text()) == {"ok": True}
    assert path.read_text().endswith("}\n")


def test_a_reader_of_the_old_file_never_sees_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "result.txt"
    write_text(path, "old")
    with path.open() as reader:
        write_text(path, "new")
        assert reader.read() == "old"
    assert path.read_text() == "new"


def test_a_result_is_as_readable_as_any_other_file(tmp_path: Path) -> None:
    write_text(tmp_path / "mine", "text")
    (tmp_path / "usual").write_text("text")
    assert stat.S_IMODE((tmp_path / "mine").stat().st_mode) == stat.S_IMODE((tmp_path / "usual").stat().st_mode)


@pytest.mark.parametrize("place", ["file/result.txt", "file/deep/result.txt"])
def test_a_file_in_the_way_of_the_folder_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"result\.txt: cannot write here: "):
        write_text(tmp_path / place, "text")
    with pytest.raises(InputError, match="cannot write here: "):
        writable_folder((tmp_path / place).parent)
    assert names(tmp_path) == ["file"]


def test_a_folder_in_the_way_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "result.txt").mkdir()
    with pytest.raises(InputError, match=r"result\.txt: cannot write here: "):
        write_text(tmp_path / "result.txt", "text")
    assert names(tmp_path) == ["result.txt"]


def test_a_writable_folder_is_made_and_left_empty(tmp_path: Path) -> None:
    folder = writable_folder(tmp_path / "a" / "b")
    assert folder == tmp_path / "a" / "b"
    assert names(folder) == []


def test_a_folder_is_checked_without_being_made(tmp_path: Path) -> None:
    check_folder(tmp_path / "a" / "b")
    check_folder(tmp_path)
    check_writable(tmp_path / "a" / "result.json")
    assert names(tmp_path) == []


@pytest.mark.parametrize("place", ["file", "file/deep", "link", "link/deep", "/proc/new"])
def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("in the way")
    (tmp_path / "link").symlink_to("nowhere")
    with pytest.raises(InputError, match=f"{place}: cannot write here: "):
        check_folder(tmp_path / place)
    assert names(tmp_path) == ["file", "link"]


def test_a_full_disk_is_bad_input_and_leaves_nothing(tmp_path: Path) -> None:
    def fill() -> None:
        with replace_file(tmp_path / "result.txt"), Path("/dev/full").open("wb", buffering=0) as disk:
            disk.write(b"x")

    with pytest.raises(InputError, match=r"result\.txt: cannot write here: No space left on device$"):
        fill()
    assert names(tmp_path) == []
