from pathlib import Path

import pytest

from spikequant.golden.support.partial_results import KeptRows


def test_rows_are_found_again_by_their_key(tmp_path: Path) -> None:
    result = tmp_path / "result.json"
    KeptRows(result).keep("one", {"perplexity": 2.5})
    again = KeptRows(result)
    assert again.find("one") == {"perplexity": 2.5}
    assert again.find("two") is None
    again.keep("two", {})
    assert KeptRows(result).find("one") == {"perplexity": 2.5}
    again.clear()
    assert list(tmp_path.iterdir()) == []
    assert again.find("one") is None


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff\xfe"])
def test_what_is_no_file_of_rows_is_started_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json.partial").write_bytes(content)
    kept = KeptRows(tmp_path / "result.json")
    assert kept.find("one") is None
    kept.keep("one", {})
    assert KeptRows(tmp_path / "result.json").find("one") == {}


def test_without_a_result_file_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    kept = KeptRows(None)
    kept.keep("one", {})
    kept.clear()
    assert list(tmp_path.iterdir()) == []
