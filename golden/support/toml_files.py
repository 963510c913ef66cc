"""TOML files that override keys of a preset."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import read_text

Model = TypeVar("Model", bound=BaseModel)


def read_toml(name: str, *, what: str, presets: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a TOML file.

    Args:
        name: the file, as the user gave it.
        what: name of the option, for errors.
        presets: names that are valid in place of a file, for errors.

    Raises:
        InputError: no .toml file, or one that cannot be read.
    """
    path = Path(name)
    if path.suffix != ".toml":
        raise InputError(f"{what} {name!r}: unknown preset, expected one of {', '.join(presets)} or a .toml file")
    text = read_text(path, what=what)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{what} {name}: not valid TOML: {error}") from None


def override(values: Mapping[str, Any], *, presets: Mapping[str, Model], default: str, source: str) -> Model:
    """The preset that ``values`` name, overridden by their other keys; tables merge key by key.

    Raises:
        InputError: an unknown preset or key, or a value out of range; the line begins with ``source``.
    """
    values = dict(values)
    preset = values.pop("preset", default)
    if not isinstance(preset, str) or preset not in presets:
        raise InputError(f"{source}: unknown preset {preset!r}, expected one of {', '.join(presets)}")
    start = presets[preset]
    try:
        return type(start).model_validate(_merged(start.model_dump(), values))
    except ValidationError as error:
        raise InputError(f"{source}: {_first_problem(error, type(start))}") from None


def _merged(base: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    tables = {
        key: _merged(base[key], value)
        for key, value in values.items()
        if isinstance(value, dict) and isinstance(base.get(key), dict)
    }
    return {**base, **values, **tables}


def _first_problem(error: ValidationError, model: type[BaseModel]) -> str:
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "extra_forbidden":
        return f"unknown key {key!r}, expected one of {', '.join(_siblings(model, problem['loc']))}"
    return f"{key}: {message}, got {problem['input']!r}" if key else message


def _siblings(model: type[BaseModel], where: tuple[int | str, ...]) -> list[str]:
    """The valid keys in the table of an unknown key; at the top level also ``preset``."""
    for part in where[:-1]:
        inner = model.model_fields[str(part)].annotation
        assert isinstance(inner, type)
        model = inner
    return [*model.model_fields, *(["preset"] if len(where) == 1 else [])]
