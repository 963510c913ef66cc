"""Finished rows of a long comparison on disk, so that a run that was cut short goes on where it stopped."""

import json
from pathlib import Path
from typing import Any

from spikequant.golden.support.files import write_json

PARTIAL = ".partial"
"""Added to the name of the result's file."""


class KeptRows:
    """Rows by a digest of all that they depend on.

    Args:
        result: file that the whole result is to be written to; rows are kept beside it. None keeps nothing.
    """

    def __init__(self, result: Path | None) -> None:
        self.path = None if result is None else result.with_name(result.name + PARTIAL)
        self._rows: dict[str, Any] = {}
        if self.path and self.path.is_file():
            try:
                found = json.loads(self.path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                found = None
            # what is no file of ours says nothing about the rows
            self._rows = found if isinstance(found, dict) else {}

    def find(self, key: str) -> Any:
        """The row kept under this digest, as JSON has it; None where there is none."""
        return self._rows.get(key)

    def keep(self, key: str, row: dict[str, Any]) -> None:
        """Keep a row, at once."""
        self._rows[key] = row
        if self.path:
            write_json(self.path, self._rows)

    def clear(self) -> None:
        """Forget all rows: the result is written."""
        self._rows = {}
        if self.path:
            self.path.unlink(missing_ok=True)
