"""Preparation of an evaluation: everything it needs is loaded and checked before any long work."""

import copy
from collections.abc import Callable
from pathlib import Path

from transformers import PreTrainedModel

from spikequant.golden.checkpoint.checkpoint import load_checkpoint
from spikequant.golden.checkpoint.description import read_description
from spikequant.golden.comparison.candidates import Candidate, checkpoint_candidate, method_candidate
from spikequant.golden.comparison.evaluation import Evaluation
from spikequant.golden.comparison.evaluation_text import EvaluationText
from spikequant.golden.comparison.external import ExternalRows
from spikequant.golden.comparison.request import ALL, Request
from spikequant.golden.comparison.sweep import sweep_candidates
from spikequant.golden.evaluation.methods import FLOAT, METHODS, SPIKEQUANT, add_recipe_prefix
from spikequant.golden.models.model import LanguageModel, check_context, load_model
from spikequant.golden.models.prefix import add_prefix, prefix_tokens
from spikequant.golden.models.reading import model_windows
from spikequant.golden.models.text import evaluation_corpus
from spikequant.golden.support.digest import digest_model, digest_versions, digest_windows
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import digest_of


def prepare(request: Request, *, keep: bool) -> Evaluation:
    """Check a request, and load its models and texts.

    Args:
        request: what to measure.
        keep: whether rows will be kept, which needs a digest of the models.

    Raises:
        InputError: a model or text is missing or unreadable, or does not fit.
    """
    request.check()
    external = {path: ExternalRows.read(path, what="row") for path in request.external}
    corpora = {name: evaluation_corpus(name) for name in request.texts}
    candidates, read_by, models, reference = (
        _from_checkpoint(request) if request.from_checkpoint else _from_float(request)
    )
    for model in (read_by.model, *models, *([reference] if reference else [])):
        check_context(model, request.context)
    texts = [
        EvaluationText(
            name,
            model_windows(read_by, corpus, tokens=request.tokens, context=request.context, stride=request.stride),
        )
        for name, corpus in corpora.items()
    ]
    calibrated = any(candidate.calibrated for candidate in candidates)
    read = request.calibration.windows(read_by) if calibrated else None
    basis = ""
    if keep:
        parts = [digest_model(model) for model in dict.fromkeys((*models, reference)) if model]
        calibration = digest_windows(read.windows) if read else ""
        basis = digest_of([digest_versions(), calibration, str(reference is None), *parts])
    return Evaluation(request.model, candidates, texts, external, reference, basis)


_Loaded = tuple[list[Candidate], LanguageModel, list[PreTrainedModel], PreTrainedModel | None]
"""Candidates, model whose tokenizer reads the texts, float models the candidates are made from, and reference."""


def _from_checkpoint(request: Request) -> _Loaded:
    folder = Path(request.model)
    checkpoint = load_checkpoint(folder)
    name = request.reference or (checkpoint.description.name if request.layers else None)
    reference = load_model(name).model if name else None
    candidate = checkpoint_candidate(
        folder,
        label=SPIKEQUANT,
        output_bits=request.output_bits,
        integer_block=request.integer_block,
        loaded=checkpoint,
    )
    if reference:
        _check_vocabulary(_vocabulary(checkpoint.language_model.model), reference, f"model {request.model}")
        add_prefix(reference, prefix_tokens(checkpoint.language_model.model))
    return [candidate], checkpoint.language_model, [], reference


def _from_float(request: Request) -> _Loaded:
    base = load_model(request.model)
    if request.several or request.method == SPIKEQUANT:
        add_recipe_prefix(base, request.recipe, request.calibration)
    reference: PreTrainedModel | None = None
    if request.reference not in (None, request.model):
        reference = load_model(request.reference).model
        _check_vocabulary(_vocabulary(base.model), reference, f"model {request.model}")
        add_prefix(reference, prefix_tokens(base.model))
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
        candidates.append(checkpoint_candidate(folder, output_bits=request.output_bits))
    return candidates, base, [base.model], reference


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
            integer_block=request.integer_block,
        )
        for method in (METHODS if request.method == ALL else (request.method,))
    ]


def _vocabulary(model: PreTrainedModel) -> int | None:
    return getattr(model.config.get_text_config(decoder=True), "vocab_size", None)


def _check_vocabulary(size: int | None, reference: PreTrainedModel, where: str) -> None:
    expected = _vocabulary(reference)
    if size is not None and expected is not None and size != expected:
        raise InputError(f"{where}: vocabulary of {size}, expected {expected} as in the float model to compare with")
