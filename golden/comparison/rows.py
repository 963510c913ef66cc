"""Several models on several texts: one row of figures each."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError
from transformers import PreTrainedModel

from spikequant.golden.comparison.candidates import Candidate
from spikequant.golden.comparison.widths import Widths, measure_widths
from spikequant.golden.evaluation.evaluate import Score, score
from spikequant.golden.models.windows import TextWindows
from spikequant.golden.support.digest import digest_windows
from spikequant.golden.support.partial_results import KeptRows
from spikequant.golden.support.store import digest_of


@dataclass(frozen=True)
class EvaluationText:
    """Text to score.

    Attributes:
        name: what the user called it.
        read: its windows.
    """

    name: str
    read: TextWindows


@dataclass(frozen=True)
class Row:
    """What one model scored on one text.

    Attributes:
        label: the candidate's.
        method: as in ``--method``.
        bits: of its codes; None where they are floats.
        text: name of the text.
        score: the figures.
        widths: mean bits of weights and activations.
        model: name of the model.
        how: one line about how the candidate came to be.
        read: one line about the text.
    """

    label: str
    method: str
    bits: int | None
    text: str
    score: Score
    widths: Widths
    model: str
    how: str
    read: str

    @property
    def protocol(self) -> str:
        """One line that says on what, and how, all this was measured."""
        return f"{self.model}; {self.read}; {self.label}, {self.how}"

    def figures(self) -> dict[str, Any]:
        """All of it, flat, for JSON."""
        widths = self.widths
        return {
            "method": self.method,
            "label": self.label,
            "bits": self.bits,
            "text": self.text,
            **asdict(self.score),
            "weight_bits": widths.weight,
            "weight_bits_stored": widths.weight_stored,
            "activation_bits": widths.activation,
            "activation_bits_stored": widths.activation_stored,
            "bits_note": widths.note,
            "protocol": self.protocol,
        }


_ROW = TypeAdapter(Row)


def compare(
    candidates: Sequence[Candidate],
    texts: Sequence[EvaluationText],
    *,
    model_name: str,
    reference: PreTrainedModel | None,
    kept: KeptRows,
    basis: str,
) -> Iterator[Row]:
    """Build each candidate once, and score it on every text.

    No more than the reference and one candidate are held at once.

    Args:
        candidates: in the order of the rows.
        texts: for each of them, in this order.
        model_name: what the user called the model.
        reference: float model whose predictions the candidates' are compared with; None compares with nothing.
        kept: rows of an earlier run, and where new ones go.
        basis: digest of all that every row depends on beside candidate and text.

    Yields:
        A row as soon as it is known.
    """
    for candidate in candidates:
        built = None
        for text in texts:
            key = digest_of([basis, candidate.label, candidate.digest, text.name, digest_windows(text.read.windows)])
            row = _restore(kept.find(key))
            if row is None:
                built = built or candidate.build()
                found = score(
                    built.model, text.read.windows, reference, description=f"scoring {candidate.label} on {text.name}"
                )
                row = Row(
                    label=candidate.label,
                    method=candidate.method,
                    bits=candidate.bits,
                    text=text.name,
                    score=found,
                    widths=measure_widths(
                        built.model, candidate.method, built.recipe, salient_ratio=found.salient_ratio
                    ),
                    model=model_name,
                    how=built.how,
                    read=text.read.protocol,
                )
                kept.keep(key, asdict(row))
            yield row


def _restore(values: Any) -> Row | None:
    """A row that was kept; None where there is none, or it is of another release."""
    try:
        return None if values is None else _ROW.validate_python(values)
    except ValidationError:
        return None
