from pathlib import Path
from typing import Any

import pytest
import torch

from spikequant.golden.comparison.evaluation_text import EvaluationText
from spikequant.golden.comparison.external import ExternalRow, ExternalRows, external_row
from spikequant.golden.comparison.rows import Row
from spikequant.golden.comparison.widths import FLOAT_WIDTHS
from spikequant.golden.models.windows import TextWindows
from spikequant.golden.support.digest import digest_windows
from spikequant.golden.support.errors import InputError

WINDOWS = [torch.arange(5), torch.arange(3)]
TEXT = EvaluationText("wikipedia", TextWindows(WINDOWS, tokens=6, texts=1, protocol="6 tokens of odd articles"))

COUNTS: dict[str, Any] = {
    "tokens": 6,
    "salient_ratio": 0,
    "silent_ratio": 0,
    "clipped_tokens": 0,
    "tokens_per_second": 9.0,
    **FLOAT_WIDTHS.model_dump(),
}

FLOATS = Row(
    **COUNTS,
    perplexity=16.0,
    method="fp",
    label="fp",
    bits=None,
    text="wikipedia",
    how="no quantization",
    text_protocol="",
    protocol="",
)


def external(**changes: Any) -> ExternalRow:
    values = {
        "perplexity": 24.0,
        "ratio": 1.5,
        "label": "other (a)",
        "how": "other 1.0",
        "text": "wikipedia",
        "windows": digest_windows(WINDOWS),
        "float_perplexity": 16.0001,
        "bits": 4,
        "seconds": 1.0,
    }
    return ExternalRow(**COUNTS | values | changes)


def read(folder: Path, *rows: ExternalRow) -> Row:
    ExternalRows(model="tiny", method="other", source="another program", rows=list(rows)).write(folder / "rows.json")
    path = folder / "rows.json"
    return external_row(path, ExternalRows.read(path, what="row"), TEXT, model="tiny", floats=FLOATS)


def test_the_best_row_of_a_text_joins_a_comparison(tmp_path: Path) -> None:
    worse, elsewhere = external(label="other (b)", perplexity=30.0), external(text="news", perplexity=3.0)
    row = read(tmp_path, worse, external(), elsewhere)
    assert (row.label, row.method, row.perplexity, row.ratio, row.bits) == ("other (a)", "other", 24.0, 1.5, 4)
    assert row.protocol == "tiny; 6 tokens of odd articles; other (a), other 1.0"


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"text": "news"}, "measured on news, expected wikipedia"),
        ({"windows": "other"}, "other windows of wikipedia, expected 6 tokens of odd articles"),
        ({"float_perplexity": 16.1}, "perplexity of the float model is 16.1 on wikipedia, expected 16 as that of tiny"),
    ],
)
def test_a_row_of_another_text_or_model_is_refused(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        read(tmp_path, external(**changes))


def test_a_file_that_is_no_row_is_refused(tmp_path: Path) -> None:
    (tmp_path / "rows.json").write_text("{}")
    with pytest.raises(InputError, match=r"row .*rows\.json: model: Field required"):
        ExternalRows.read(tmp_path / "rows.json", what="row")
