"""One run of an evaluation: all that it needs is there before anything long starts."""

import copy
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spikequant.golden.checkpoint.checkpoint import load_checkpoint
from spikequant.golden.checkpoint.description import read_description
from spikequant.golden.comparison.candidates import SPIKEQUANT, Candidate, checkpoint_candidate, method_candidate
from spikequant.golden.comparison.request import ALL, Request
from spikequant.golden.comparison.rows import EvaluationText, Row, compare
from spikequant.golden.comparison.sweep import sweep_candidates
from spikequant.golden.evaluation.agreement import Agreement, compare_paths
from spikequant.golden.evaluation.methods import FLOAT, METHODS
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer_report.report import LayerReport, check_comparable, measure_layers
from spikequant.golden.models.model import LanguageModel, load_model
from spikequant.golden.models.text import Corpus, evaluation_corpus
from spikequant.golden.models.windows import corpus_windows
from spikequant.golden.quantizer.weights import WEIGHT_BITS
from spikequant.golden.support.digest import digest_model, digest_versions, digest_windows
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.partial_results import KeptRows
from spikequant.golden.support.store import digest_of


@dataclass(frozen=True)
class Evaluation:
    """Everything that is to be measured.

    Attributes:
        model_name: for the protocol.
        candidates: one or more.
        texts: one or more.
        reference: float model to compare with, or None.
        basis: digest of all that every row depends on beside candidate and text; empty if nobody asked for it.
    """

    model_name: str
    candidates: list[Candidate]
    texts: list[EvaluationText]
    reference: PreTrainedModel | None
    basis: str

    def rows(self, kept: KeptRows) -> Iterator[Row]:
        """Measure, or take what was kept."""
        return compare(
            self.candidates,
            self.texts,
            model_name=self.model_name,
            reference=self.reference,
            kept=kept,
            basis=self.basis,
        )

    def compare_paths(self, spec: Spec) -> list[Agreement]:
        """Run layers of the only candidate in floats and in integers, on the first window of the first text."""
        return compare_paths(self.candidates[0].build().model, self.texts[0].read.windows[0], spec)

    def figures(self, request: Request, rows: list[Row], agreements: list[Agreement]) -> dict[str, Any]:
        """The result for JSON: at the top those of SpikeQuant, or the only method, on the first text."""
        first = [row for row in rows if row.text == rows[0].text]
        heads = [row for row in first if row.method == SPIKEQUANT]
        if request.sweep:
            # the width that all else here is about, or the nearest one
            heads.sort(key=lambda row: abs((row.bits or 0) - WEIGHT_BITS))
        head = (heads or first)[0].figures()
        common = {"model": self.model_name, **head, "output_bits": request.output_bits}
        every = [row.figures() for row in rows]
        if not request.several:
            return {**common, "texts": every, "integers": [asdict(agreement) for agreement in agreements]}
        sources = {candidate.method: candidate.source for candidate in self.candidates if candidate.source}
        name = {"sweep": "bits"} if request.sweep else {"method": ALL}
        return {**common, **name, "sources": sources, "rows": every}

    def with_built(self) -> "Evaluation":
        """The same with its only candidate built, to go on with after the rows.

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
        protocol = f"{self.model_name}; {text.read.protocol}; {self.candidates[0].label}, {built.how}"
        return measure_layers(
            built.model, self.reference, text.read.windows, membrane_bits=membrane_bits, protocol=protocol
        )


def prepare(request: Request, *, keep: bool) -> Evaluation:
    """Check a request, and load what it needs.

    Args:
        request: what to measure.
        keep: whether rows are to be kept, which needs a digest of the models.

    Raises:
        InputError: anything is missing, unreadable, or does not fit.
    """
    request.check()
    corpora = {name: evaluation_corpus(name) for name in request.texts}
    candidates, tokenizer, models, reference = (
        _from_checkpoint(request) if request.from_checkpoint else _from_float(request)
    )
    for model in (*models, *([reference] if reference else [])):
        _check_context(model, request.context)
    texts = [_read(name, corpus, request, tokenizer) for name, corpus in corpora.items()]
    calibrated = any(candidate.calibrated for candidate in candidates)
    read = request.calibration.windows(tokenizer) if calibrated else None
    basis = ""
    if keep:
        parts = [
            digest_model(model) for model in {id(model): model for model in (*models, reference) if model}.values()
        ]
        calibration = digest_windows(read.windows) if read else ""
        basis = digest_of([digest_versions(), calibration, str(reference is None), *parts])
    return Evaluation(request.model, candidates, texts, reference, basis)


_Loaded = tuple[list[Candidate], PreTrainedTokenizerBase, list[PreTrainedModel], PreTrainedModel | None]
"""Candidates, the tokenizer, float models that candidates are made from, and the reference."""


def _from_checkpoint(request: Request) -> _Loaded:
    folder = Path(request.model)
    checkpoint = load_checkpoint(folder)
    name = request.reference or (checkpoint.description.name if request.layers else None)
    reference = load_model(name).model if name else None
    candidate = checkpoint_candidate(folder, label=SPIKEQUANT, output_bits=request.output_bits, loaded=checkpoint)
    if reference:
        _check_vocabulary(_vocabulary(checkpoint.language_model.model), reference, f"model {request.model}")
    return [candidate], checkpoint.language_model.tokenizer, [], reference


def _from_float(request: Request) -> _Loaded:
    base = load_model(request.model)
    reference: PreTrainedModel | None = None
    if request.reference not in (None, request.model):
        reference = load_model(request.reference).model
        _check_vocabulary(_vocabulary(base.model), reference, f"model {request.model}")
    elif request.reference or request.several or request.layers:
        reference = base.model
    shared = request.several or reference is base.model

    def untouched() -> LanguageModel:
        return base

    def copied() -> LanguageModel:
        return LanguageModel(copy.deepcopy(base.model), base.tokenizer, base.name)

    changeable = copied if shared else untouched
    candidates = _candidates(request, untouched, changeable)
    for folder in request.checkpoints:
        size = read_description(folder).config.get("vocab_size")
        _check_vocabulary(size, base.model, f"checkpoint {folder}")
        candidates.append(checkpoint_candidate(folder))
    return candidates, base.tokenizer, [base.model], reference


def _candidates(
    request: Request, untouched: Callable[[], LanguageModel], changeable: Callable[[], LanguageModel]
) -> list[Candidate]:
    recipe, calibration = request.recipe, request.calibration
    if request.sweep:
        return sweep_candidates(list(request.sweep), recipe, calibration, untouched=untouched, float_model=changeable)
    return [
        method_candidate(
            method,
            recipe,
            calibration,
            untouched if method == FLOAT else changeable,
            output_bits=request.output_bits,
        )
        for method in (METHODS if request.method == ALL else (request.method,))
    ]


def _read(name: str, corpus: Corpus, request: Request, tokenizer: PreTrainedTokenizerBase) -> EvaluationText:
    return EvaluationText(name, corpus_windows(tokenizer, corpus, tokens=request.tokens, context=request.context))


def _vocabulary(model: PreTrainedModel) -> int | None:
    return getattr(model.config.get_text_config(decoder=True), "vocab_size", None)


def _check_vocabulary(size: int | None, reference: PreTrainedModel, where: str) -> None:
    expected = _vocabulary(reference)
    if size is not None and expected is not None and size != expected:
        raise InputError(f"{where}: vocabulary of {size}, expected {expected} as in the float model to compare with")


def _check_context(model: PreTrainedModel, context: int) -> None:
    longest = getattr(model.config.get_text_config(decoder=True), "max_position_embeddings", None)
    if longest is not None and context > longest:
        raise InputError(f"ctx: {context}, expected {longest} at most, the longest window of the model")
