"""Points of the trade between silence and accuracy, each measured on one quantized model."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from spikequant.benchmarks.rates import average_batch
from spikequant.benchmarks.traces import load_traces
from spikequant.golden.checkpoint.checkpoint import load_checkpoint
from spikequant.golden.energy.activity import check_runnable, measure_activity
from spikequant.golden.energy.methods import ATOM, FIRST_SPIKE
from spikequant.golden.energy.report import evaluate_energy
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.layer.spec import Spec
from spikequant.golden.models.model import load_model
from spikequant.golden.models.prefix import add_prefix, prefix_tokens
from spikequant.golden.models.reading import model_windows
from spikequant.golden.models.text import Corpus
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures

PLAIN = "w4a4-output"
"""The multiply-accumulate array that skips nothing."""


class SilencePoint(Figures):
    """One quantized model.

    Attributes:
        checkpoint: folder of the model.
        silent_ratio: share of silent inputs on the text, 0..1.
        salient_ratio: share of salient inputs.
        perplexity: on the text, read from output codes.
        ratio: perplexity over the float model's.
        divergence: from the float model's predictions, in nats a token.
        agreement: share of positions with the float model's most likely token.
        cycles: of the accelerator for one token in all layers, weights on chip.
        twin_cycles: of its multiply-accumulate twin.
        traffic: bytes of weights that one token fetches from a memory where rows of silent inputs are left out.
        whole_traffic: bytes of all weights.
        energy: by energy model, energy of a plain W4A4 array over the spiking one's.
        energy_atom: the same for Atom.
        protocol: one line on model and text.
    """

    checkpoint: str
    silent_ratio: float
    salient_ratio: float
    perplexity: float
    ratio: float
    divergence: float
    agreement: float
    cycles: int
    twin_cycles: int
    traffic: int
    whole_traffic: int
    energy: dict[str, float]
    energy_atom: dict[str, float]
    protocol: str


class SilenceFigures(Figures):
    """All points.

    Attributes:
        reference: the float model.
        config: spec of the accelerator.
        points: in the order of their silence.
    """

    reference: str
    config: Spec
    points: list[SilencePoint]


@dataclass(frozen=True)
class SilenceRequest:
    """Options of the measurement.

    Attributes:
        checkpoints: folders of quantized models.
        reference: name of the float model.
        corpus: text to score.
        tokens: tokens to score.
        context: tokens in a window.
        traced: tokens to count cycles on.
        spec: of the accelerator.
        cache: folder of traces.
    """

    checkpoints: list[Path]
    reference: str
    corpus: Corpus
    tokens: int
    context: int
    traced: int
    spec: Spec
    cache: Path


def measure_points(request: SilenceRequest) -> Iterator[SilencePoint]:
    """Measure each model.

    Raises:
        InputError: a model is missing, has another vocabulary than the float model, or does not fit the accelerator.
    """
    base = load_model(request.reference)
    references: dict[tuple[int, ...], PreTrainedModel] = {(): base.model}
    for folder in request.checkpoints:
        language_model = load_checkpoint(folder).language_model
        model = language_model.model
        check_runnable(language_model, request.spec)
        if language_model.vocabulary != base.vocabulary:
            raise InputError(
                f"checkpoint {folder}: vocabulary of {language_model.vocabulary}, "
                f"expected {base.vocabulary} as in {request.reference}"
            )
        read = model_windows(language_model, request.corpus, tokens=request.tokens, context=request.context)
        tokens = prefix_tokens(model)
        if tokens not in references:
            references[tokens] = load_model(request.reference).model
            add_prefix(references[tokens], tokens)
        accuracy = measure_accuracy(
            model, read.windows, references[tokens], scored=read.scored, description=f"scoring {folder}"
        )
        report = evaluate_energy(measure_activity(language_model, read.windows[:2], spec=request.spec), request.spec)
        traces = load_traces(folder, tokens=request.traced, cache=request.cache)
        batch = average_batch(request.spec, traces.layers, 1)
        joules = {each.name: {name: found.picojoules for name, found in each.energy.items()} for each in report.models}
        assert accuracy.ratio is not None
        assert accuracy.divergence is not None
        assert accuracy.agreement is not None
        yield SilencePoint(
            checkpoint=str(folder),
            silent_ratio=accuracy.silent_ratio,
            salient_ratio=accuracy.salient_ratio,
            perplexity=accuracy.perplexity,
            ratio=accuracy.ratio,
            divergence=accuracy.divergence,
            agreement=accuracy.agreement,
            cycles=batch.cycles["spiking"],
            twin_cycles=batch.cycles["mac"],
            traffic=4 * batch.words_used,
            whole_traffic=4 * batch.words,
            energy={name: found[PLAIN] / found[FIRST_SPIKE.name] for name, found in joules.items()},
            energy_atom={name: found[ATOM.name] / found[FIRST_SPIKE.name] for name, found in joules.items()},
            protocol=f"{folder}; {read.protocol}; codes; prefix {list(tokens)}",
        )
