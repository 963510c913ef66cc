"""Models that an evaluation compares: how each comes to be, and what it depends on."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transformers import PreTrainedModel

from spikequant.golden.checkpoint.checkpoint import Checkpoint, load_checkpoint
from spikequant.golden.checkpoint.description import DESCRIPTION, read_description, sha256
from spikequant.golden.evaluation.methods import FLOAT, Calibration, apply_method, find_method
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.store import digest_of

SPIKEQUANT = "spikequant"


@dataclass(frozen=True)
class Built:
    """A candidate's model.

    Attributes:
        model: in evaluation mode.
        how: one line about how it came to be.
        recipe: with its bits.
    """

    model: PreTrainedModel
    how: str
    recipe: Recipe


@dataclass(frozen=True)
class Candidate:
    """One row of a comparison, before it is measured.

    Attributes:
        label: what the row is called.
        method: as in ``--method``.
        digest: of all that the model depends on beside the float model and the calibration text.
        build: makes the model.
        bits: of its weights' and activations' codes; None where they are floats.
        calibrated: whether calibration text is needed to build it.
        source: the publication that the method follows, and what is done otherwise; empty for the float model.
    """

    label: str
    method: str
    digest: str
    build: Callable[[], Built]
    bits: int | None
    calibrated: bool = False
    source: str = ""


def method_candidate(
    method: str,
    recipe: Recipe,
    calibration: Calibration,
    float_model: Callable[[], LanguageModel],
    *,
    label: str | None = None,
    output_bits: int | None = None,
) -> Candidate:
    """A method on a float model.

    Args:
        method: one of ``METHODS``.
        recipe: all of SpikeQuant's choices, and the bits of the others.
        calibration: text.
        float_model: a float model that may be changed; ``fp`` leaves it as it is.
        label: by default the method.
        output_bits: None reads the membranes; a number sends SpikeQuant's outputs through codes of so many bits.

    Raises:
        InputError: no such method.
    """
    chosen = find_method(method, recipe)

    def build() -> Built:
        language_model = float_model()
        how = apply_method(language_model, chosen, calibration)
        return _coded(Built(language_model.model, how, recipe), output_bits)

    matters = recipe.model_dump_json() if method == SPIKEQUANT else f"{recipe.weights.bits} {recipe.activations.bits}"
    digest = digest_of([method, "" if method == FLOAT else matters, str(output_bits)])
    return Candidate(
        label=label or method,
        method=method,
        digest=digest,
        build=build,
        bits=recipe.weights.bits if chosen else None,
        calibrated=chosen is not None and chosen.calibrated,
        source=f"{chosen.source}; {chosen.differences}" if chosen else "",
    )


def checkpoint_candidate(
    folder: Path, *, label: str | None = None, output_bits: int | None = None, loaded: Checkpoint | None = None
) -> Candidate:
    """A folder that ``quantize`` wrote.

    Args:
        folder: of the checkpoint.
        label: by default with the name of the folder.
        output_bits: as for ``method_candidate``.
        loaded: its content, where it is there already.

    Raises:
        InputError: its description cannot be read.
    """
    description = read_description(folder)
    training = f"; {description.training}" if description.training else ""
    how = f"{description.name} calibrated on {description.calibration}{training}"

    def build() -> Built:
        checkpoint = loaded or load_checkpoint(folder)
        return _coded(Built(checkpoint.language_model.model, how, description.recipe), output_bits)

    digest = digest_of([sha256(folder / DESCRIPTION), str(output_bits)])
    name = label or f"{SPIKEQUANT} ({folder.resolve().name})"
    return Candidate(name, SPIKEQUANT, digest, build, description.recipe.weights.bits)


def _coded(built: Built, output_bits: int | None) -> Built:
    for layer in quantized_layers(built.model).values():
        layer.output_bits = output_bits
    return built
