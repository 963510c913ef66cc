from dataclasses import dataclass

import pytest

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import (
    ResultFolder,
    cached_build,
    default_cache_folder,
    digest_of,
    ensure_cache_folder,
)


def test_digest_separates_its_parts():
    assert digest_of(["ab", "c"]) != digest_of(["a", "bc"])
    assert digest_of(["a"]) == digest_of([b"a"])


def test_build_runs_once_for_a_digest(tmp_path):
    runs = []

    def build(folder):
        runs.append(folder)
        (folder / "result").write_text("done")

    first = cached_build(tmp_path, "kind", "d1", build)
    again = cached_build(tmp_path, "kind", "d1", build)
    other = cached_build(tmp_path, "kind", "d2", build)
    assert first == again != other
    assert (first / "result").read_text() == "done"
    assert len(runs) == 2


def test_failed_build_leaves_nothing_and_is_tried_again(tmp_path):
    def fail(folder):
        (folder / "half").write_text("")
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        cached_build(tmp_path, "kind", "d", fail)
    assert list(tmp_path.iterdir()) == []
    folder = cached_build(tmp_path, "kind", "d", lambda fresh: (fresh / "whole").touch())
    assert (folder / "whole").exists()


def test_the_first_of_two_simultaneous_builds_is_kept(tmp_path):
    def build(folder):
        cached_build(tmp_path, "kind", "d", lambda inner: (inner / "first").touch())
        (folder / "second").touch()

    folder = cached_build(tmp_path, "kind", "d", build)
    assert [path.name for path in folder.iterdir()] == ["first"]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_fresh_build_takes_the_place_of_the_kept_one(tmp_path):
    cached_build(tmp_path, "kind", "d", lambda beside: (beside / "old").touch())
    folder = cached_build(tmp_path, "kind", "d", lambda beside: (beside / "new").touch(), fresh=True)
    assert [path.name for path in folder.iterdir()] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == [folder.name]


def test_a_cache_that_cannot_be_is_bad_input(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"file.*: cannot write here: "):
        cached_build(tmp_path / "file", "x", "0" * 64, lambda _: None)


def test_a_cache_folder_that_cannot_be_written_is_replaced(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    ensure_cache_folder()
    assert default_cache_folder() == tmp_path / "cache" / "spikequant"
    assert list(tmp_path.iterdir()) == []
    assert not caplog.text
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    ensure_cache_folder()
    assert "/dev/null/cache: cannot write here: " in caplog.text
    assert cached_build(default_cache_folder(), "kind", "d", lambda folder: (folder / "x").touch()).is_dir()


@dataclass(frozen=True)
class Row:
    label: str
    bits: tuple[int, int] | None


def test_results_are_found_under_their_name_and_digest(tmp_path):
    results = ResultFolder(tmp_path / "rows", Row)
    assert results.find("one", "a") is None
    results.keep("one", "a", Row("first", (4, 5)))
    results.keep("two", "a", Row("second", None))
    again = ResultFolder(tmp_path / "rows", Row)
    assert again.find("one", "a") == Row("first", (4, 5))
    assert again.find("one", "b") is None
    again.keep("one", "b", Row("newer", None))
    assert again.find("one", "a") is None
    assert again.find("two", "a") == Row("second", None)
    again.clear()
    assert again.find("two", "a") is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"a\n{", b'a\n{"label": 1}', b"a\n[]", b"\xff\xfe"])
def test_a_damaged_result_is_not_used(tmp_path, content):
    (tmp_path / "one.json").write_bytes(content)
    results = ResultFolder(tmp_path, Row)
    assert results.find("one", "a") is None
    results.keep("one", "a", Row("x", None))
    assert results.find("one", "a") == Row("x", None)


def test_without_a_folder_nothing_is_stored(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    results = ResultFolder(None, Row)
    results.keep("one", "a", Row("x", None))
    assert results.find("one", "a") is None
    results.clear()
    assert list(tmp_path.iterdir()) == []
