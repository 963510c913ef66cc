import pytest

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import cached_build, digest_of


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
