import json
import math
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from spikequant.golden.comparison.plots import comparison_plot, sweep_plot
from spikequant.golden.comparison.rows import MethodResult, Row
from spikequant.golden.comparison.show import comparison_table, number, show_comparison, sweep_table
from spikequant.golden.comparison.widths import FLOAT_WIDTHS

PNG = b"\x89PNG"


def make_row(method: str, text: str, perplexity: float, *, bits: int | None = 4) -> Row:
    return Row(
        **FLOAT_WIDTHS.model_dump(),
        perplexity=perplexity,
        tokens=100,
        salient_ratio=0.02,
        silent_ratio=0.3,
        clipped_tokens=0,
        tokens_per_second=50.0,
        divergence=0.1,
        agreement=0.9,
        ratio=perplexity / 10,
        speed_ratio=0.5,
        method=method,
        label=method,
        bits=bits,
        text=text,
        how="somehow",
        text_protocol=f"100 tokens of {text}",
        protocol="tiny",
    )


@pytest.fixture
def rows() -> list[Row]:
    return [
        make_row(method, text, perplexity, bits=None if method == "fp" else 4)
        for method, perplexity in (("fp", 10.0), ("rtn", 600.0), ("spikequant", 12.0))
        for text in ("wikipedia", "news")
    ]


@pytest.fixture
def swept() -> list[Row]:
    methods = [make_row(m, "news", 1000.0 / b, bits=b) for b in (1, 4) for m in ("rtn", "spikequant")]
    return [make_row("fp", "news", 10.0, bits=None), *methods]


def cells(table: object, column: int) -> list[str]:
    return list(table.columns[column].cells)  # type: ignore[attr-defined]


def test_plots_are_pictures_that_follow_the_figures(rows: list[Row], swept: list[Row]) -> None:
    for plot, values in ((comparison_plot, rows), (sweep_plot, swept)):
        picture = plot(values)
        assert picture.startswith(PNG)
        assert plot(values) == picture
        last = values[-1].model_copy(update={"perplexity": 44.0, "ratio": 4.4})
        assert plot([*values[:-1], last]) != picture


def test_tables_hold_the_figures(rows: list[Row], swept: list[Row]) -> None:
    table = comparison_table(rows[::2])
    assert cells(table, 0) == ["fp", "rtn", "spikequant"]
    assert cells(table, 1) == ["10", "600", "12"]
    assert cells(table, 2) == ["1", "60", "1.2"]
    table = sweep_table(swept)
    assert cells(table, 0) == ["1", "4"]
    assert cells(table, 1) == cells(table, 4) == ["1000", "250"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [(None, "-"), (23.456, "23.46"), (1044.4, "1044"), (123456.7, "123,457"), (0.01234567, "0.01235")],
)
def test_numbers_for_readers(value: float | None, shown: str) -> None:
    assert number(value) == shown


def test_every_text_is_shown(rows: list[Row]) -> None:
    console = Console(width=80, file=StringIO(), record=True)
    show_comparison(rows, console)
    shown = console.export_text()
    assert "100 tokens of news" in shown
    assert "spikequant: somehow" in shown


def test_the_widths_of_a_sweep_stay_readable_on_a_narrow_terminal() -> None:
    swept = [make_row(m, "news", 4.0e11 / 1000**b, bits=b) for b in range(1, 9) for m in ("rtn", "spikequant")]
    shown = StringIO()
    Console(width=80, file=shown).print(sweep_table(swept))
    lines = [line.split() for line in shown.getvalue().splitlines() if line.strip()]
    assert "bits" in lines[1]
    assert [line[0] for line in lines if line[0].isdigit() and len(line) > 5] == [str(bits) for bits in range(1, 9)]


def test_an_infinite_perplexity_survives_the_file(tmp_path: Path) -> None:
    row = make_row("rtn", "news", math.inf, bits=1)
    row.write(tmp_path / "row.json")
    assert json.loads((tmp_path / "row.json").read_text())["perplexity"] == math.inf
    assert Row.read(tmp_path / "row.json", what="row") == row
    nested = MethodResult(**row.model_dump(), model="tiny", output_bits=None, texts=[row], integers=[])
    nested.write(tmp_path / "result.json")
    assert MethodResult.read(tmp_path / "result.json", what="result") == nested
