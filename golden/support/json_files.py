"""JSON files that a model of pydantic describes."""

from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import read_text

Model = TypeVar("Model", bound=BaseModel)


def parse_json(text: str, kind: type[Model], *, source: str) -> Model:
    """The values of a JSON text.

    Raises:
        InputError: it is not valid; ``source`` says where, and the message which value comes first.
    """
    try:
        return kind.model_validate_json(text)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(str(part) for part in problem["loc"])
        raise InputError(f"{source}: {f'{where}: ' if where else ''}{problem['msg']}") from None


def read_json(path: Path, kind: type[Model], *, what: str, expected: str = "") -> Model:
    """The values of a JSON file.

    Args:
        path: the file.
        kind: what describes it.
        what: what it is, for errors.
        expected: what should have been there, for the error where nothing is.

    Raises:
        InputError: it cannot be read, or is not valid.
    """
    return parse_json(read_text(path, what=what, expected=expected), kind, source=f"{what} {path}")
