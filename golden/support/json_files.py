"""JSON files, read as pydantic models."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import read_text

Model = TypeVar("Model", bound=BaseModel)


def parse_json(text: str, kind: type[Model], *, source: str) -> Model:
    """A model from a JSON text.

    Raises:
        InputError: the text is not valid; the line has ``source`` and the first bad value.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{source}: {f'{where}: ' if where else ''}{problem['msg']}") from None


def read_json(path: Path, kind: type[Model], *, what: str, expected: str = "") -> Model:
    """A model from a JSON file.

    Args:
        path: the file.
        kind: the model.
        what: kind of file, for the error.
        expected: what the file should be, for the error.

    Raises:
        InputError: the file cannot be read, or is not valid.
    """
    return parse_json(read_text(path, what=what, expected=expected), kind, source=f"{what} {path}")
