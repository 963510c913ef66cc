"""Evaluation of candidates on texts: rows, layers in integers, and layer reports."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel

from spikequant.golden.comparison.candidates import Built, Candidate
from spikequant.golden.comparison.evaluation_text import EvaluationText
from spikequant.golden.comparison.external import ExternalRows, external_row
from spikequant.golden.comparison.request import ALL, Request
from spikequant.golden.comparison.rows import ComparisonResult, MethodResult, Row, SweepResult
from spikequant.golden.comparison.widths import measure_widths
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.evaluation.agreement import Agreement, compare_paths
from spikequant.golden.evaluation.methods import FLOAT, SPIKEQUANT
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer_report.report import LayerReport, check_comparable, measure_layers
from spikequant.golden.quantizer.weights import WEIGHT_BITS
from spikequant.golden.support.digest import digest_windows
from spikequant.golden.support.store import ResultFolder, digest_of


@dataclass(frozen=True)
class Evaluation:
    """Models and texts of an evaluation.

    Attributes:
        model_name: name of the model, as the user gave it.
        candidates: one or more, in the order of the rows.
        texts: one or more.
        external: rows of other programs, by the file that they were read from.
        reference: float model to compare predictions with, or None.
        basis: digest of everything that all rows depend on, other than candidate and text; empty if rows are not kept.
    """

    model_name: str
    candidates: list[Candidate]
    texts: list[EvaluationText]
    external: dict[Path, ExternalRows]
    reference: PreTrainedModel | None
    basis: str

    def rows(self, kept: ResultFolder[Row]) -> Iterator[Row]:
        """Build each candidate once, and measure it on every text; rows of other programs come last.

        Memory holds the reference and one candidate at most.

        Args:
            kept: rows of an earlier run, to which new ones are added.

        Yields:
            Each row as soon as it is known.

        Raises:
            InputError: a row of another program is of other windows, or of another float model.
        """
        floats: dict[str, Row] = {}
        for candidate in self.candidates:
            built = None
            for text in self.texts:
                digest = digest_windows(text.read.windows)
                key = digest_of([self.basis, candidate.label, candidate.digest, text.name, digest])
                row = kept.find(key, key)
                if row is None:
                    built = built or candidate.build()
                    row = self._row(candidate, built, text)
                    kept.keep(key, key, row)
                if row.method == FLOAT:
                    floats[text.name] = row
                yield row
        for path, found in self.external.items():
            for text in self.texts:
                yield external_row(path, found, text, model=self.model_name, floats=floats[text.name])

    def compare_paths(self, spec: Spec) -> list[Agreement]:
        """Run layers of the only candidate in floats and in integers, on the first window of the first text."""
        return compare_paths(self.candidates[0].build().model, self.texts[0].read.windows[0], spec)

    def result(self, request: Request, rows: list[Row], agreements: list[Agreement]) -> MethodResult | ComparisonResult:
        """The result to write, with the row of SpikeQuant, or of the only method, at the top level."""
        heads = [row for row in rows if row.text == rows[0].text]
        heads = [row for row in heads if row.method == SPIKEQUANT] or heads
        head = min(heads, key=lambda row: abs((row.bits or 0) - WEIGHT_BITS)) if request.sweep else heads[0]
        values = head.model_dump() | {"model": self.model_name, "output_bits": request.output_bits}
        if not request.several:
            return MethodResult(**values, texts=rows, integers=agreements)
        values["sources"] = {candidate.method: candidate.source for candidate in self.candidates if candidate.source}
        if request.sweep:
            return SweepResult(**values, rows=rows)
        return ComparisonResult(**values | {"method": ALL}, rows=rows)

    def with_built(self) -> "Evaluation":
        """The same with its only candidate built, whose layers can then be measured.

        Raises:
            InputError: it has no layers to measure.
        """
        built = self.candidates[0].build()
        if self.reference is not None:
            check_comparable(built.model, self.reference)
        return replace(self, candidates=[replace(self.candidates[0], build=lambda: built)])

    def layer_report(self, membrane_bits: int) -> LayerReport:
        """Measure the only candidate's layers on the first text."""
        built, text = self.candidates[0].build(), self.texts[0]
        assert self.reference is not None
        protocol = self._protocol(self.candidates[0], built, text)
        return measure_layers(
            built.model, self.reference, text.read.windows, membrane_bits=membrane_bits, protocol=protocol
        )

    def _protocol(self, candidate: Candidate, built: Built, text: EvaluationText) -> str:
        return f"{self.model_name}; {text.read.protocol}; {candidate.label}, {built.how}"

    def _row(self, candidate: Candidate, built: Built, text: EvaluationText) -> Row:
        description = f"scoring {candidate.label} on {text.name}"
        accuracy = measure_accuracy(
            built.model, text.read.windows, self.reference, scored=text.read.scored, description=description
        )
        widths = measure_widths(built.model, candidate.method, built.recipe, salient_ratio=accuracy.salient_ratio)
        return Row(
            **accuracy.model_dump(),
            **widths.model_dump(),
            method=candidate.method,
            label=candidate.label,
            bits=candidate.bits,
            text=text.name,
            how=built.how,
            text_protocol=text.read.protocol,
            protocol=self._protocol(candidate, built, text),
        )
