"""A text that models predict in an evaluation."""

from dataclasses import dataclass

from spikequant.golden.models.windows import TextWindows


@dataclass(frozen=True)
class EvaluationText:
    """A text to predict.

    Attributes:
        name: name or file, as the user gave it.
        read: its windows.
    """

    name: str
    read: TextWindows
