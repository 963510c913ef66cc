"""TOML over presets, on a small model of its own."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.toml_files import override, read_toml


class Inner(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    size: int = Field(default=1, ge=1)
    names: tuple[str, ...] = ()


class Middle(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    inner: Inner = Inner()
    rate: float = 0.5


class Outer(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    middle: Middle = Middle()
    count: int = 3


PRESETS = {
    "small": Outer(),
    "large": Outer(middle=Middle(inner=Inner(size=9, names=("a", "b")), rate=0.25), count=7),
}


def overridden(values: dict[str, Any]) -> Outer:
    return override(values, presets=PRESETS, default="small", source="file x")


def test_nothing_said_is_the_preset() -> None:
    assert overridden({}) == PRESETS["small"]
    assert overridden({"preset": "large"}) == PRESETS["large"]


def test_tables_merge_key_by_key_and_values_take_the_place() -> None:
    values = {"preset": "large", "middle": {"inner": {"size": 2}}}
    found = overridden(values)
    assert found == Outer(middle=Middle(inner=Inner(size=2, names=("a", "b")), rate=0.25), count=7)
    assert overridden({"preset": "large", "middle": {"inner": {"names": []}}}).middle.inner == Inner(size=9)
    assert overridden({"preset": "large", "count": 1}).middle == PRESETS["large"].middle
    # neither the caller's values nor the preset change
    assert values == {"preset": "large", "middle": {"inner": {"size": 2}}}
    assert PRESETS["large"].middle.inner.size == 9


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"preset": "huge"}, "file x: unknown preset 'huge', expected one of small, large"),
        ({"preset": ["small"]}, "file x: unknown preset ['small'], expected one of small, large"),
        ({"cuont": 1}, "file x: unknown key 'cuont', expected one of middle, count, preset"),
        ({"middle": {"rat": 1}}, "file x: unknown key 'middle.rat', expected one of inner, rate"),
        ({"middle": {"inner": {"sice": 1}}}, "file x: unknown key 'middle.inner.sice', expected one of size, names"),
        (
            {"middle": {"inner": {"preset": "small"}}},
            "file x: unknown key 'middle.inner.preset', expected one of size, names",
        ),
        (
            {"middle": {"inner": {"size": 0}}},
            "file x: middle.inner.size: Input should be greater than or equal to 1, got 0",
        ),
    ],
)
def test_a_mistake_is_one_line_that_says_where(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as refusal:
        overridden(values)
    assert str(refusal.value) == message


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ({"middle": 3}, "file x: middle: .*, got 3"),
        ({"middle": {"inner": [1]}}, r"file x: middle\.inner: .*, got \[1\]"),
        ({"middle": {"inner": {"names": ["a", 5]}}}, r"file x: middle\.inner\.names\.1: .*, got 5"),
        ({"count": {"a": 1}}, "file x: count: .*"),
        ({"count": 1.5}, "file x: count: .*, got 1.5"),
    ],
)
def test_a_value_of_another_kind_is_one_line_that_says_where(values: dict[str, Any], where: str) -> None:
    with pytest.raises(InputError, match=f"^{where}$") as refusal:
        overridden(values)
    assert "\n" not in str(refusal.value)


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    good.write_text("[a]\nb = 1\n")
    assert read_toml(str(good), what="thing", presets=PRESETS) == {"a": {"b": 1}}
    with pytest.raises(InputError, match=r"^thing 'x': unknown preset, expected one of small, large or a \.toml file$"):
        read_toml("x", what="thing", presets=PRESETS)
    with pytest.raises(InputError, match=r"^thing .*none\.toml: cannot read the file: No such file"):
        read_toml(str(tmp_path / "none.toml"), what="thing", presets=PRESETS)
    for content, problem in (
        (b"a = ", "not valid TOML: "),
        (b"\xff", "not UTF-8 at "),
        (b"a = 1\na = 2", "not valid TOML: "),
    ):
        good.write_bytes(content)
        with pytest.raises(InputError, match=rf"^thing .*good\.toml: {problem}") as refusal:
            read_toml(str(good), what="thing", presets=PRESETS)
        assert "\n" not in str(refusal.value)
