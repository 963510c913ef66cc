"""Figures of a result: a model that is printed, written as JSON, and read back."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict

from spikequant.golden.support.files import write_text
from spikequant.golden.support.json_files import read_json


class Figures(BaseModel):
    """Base of the figures that a command reports, immutable.

    Example:
        >>> class Count(Figures):
        ...     mismatches: int
        >>> Count(mismatches=0).write(Path("result.json"))
    """

    # an infinite perplexity is Infinity, as json.dumps writes it
    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    def write(self, path: Path | None) -> None:
        """Write a JSON file, whole or not at all; None writes nothing.

        Raises:
            InputError: the file cannot be written.
        """
        if path is not None:
            write_text(path, self.model_dump_json(indent=2) + "\n")

    @classmethod
    def read(cls, path: Path, *, what: str, expected: str = "") -> Self:
        """Read what ``write`` wrote; arguments and errors as ``read_json``."""
        return read_json(path, cls, what=what, expected=expected)
