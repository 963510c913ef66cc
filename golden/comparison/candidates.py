"""Models that an evaluation compares, and what each depends on."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from transformers import PreTrainedModel

from spikequant.golden.block.block import use_integer_blocks
from spikequant.golden.block.settings import BlockWidths
from spikequant.golden.checkpoint.checkpoint import Checkpoint, load_checkpoint
from spikequant.golden.checkpoint.description import DESCRIPTION, read_description, sha256
from spikequant.golden.evaluation.methods import FLOAT, SPIKEQUANT, Calibration, apply_method, find_method
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import prefix_tokens
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.output_steps import OUTPUT_BITS
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.store import digest_of


@dataclass(frozen=True)
class Built:
    """A candidate's model.

    Attributes:
        model: in evaluation mode.
        how: one line on how it was made.
        recipe: its bits, and with SpikeQuant everything else.
    """

    model: PreTrainedModel
    how: str
    recipe: Recipe


@dataclass(frozen=True)
class Candidate:
    """Model of one row of a comparison, built when needed.

    Attributes:
        label: name of the row.
        method: as in ``--method``.
        digest: of everything that the model depends on, other than the float model and the calibration text.
        build: makes the model.
        bits: width of its weights' and activations' codes; None for floats.
        calibrated: whether calibration text is needed to build it.
        source: publication that the method follows, and the differences; empty for the float model.
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
    output_bits: int | None = OUTPUT_BITS,
    integer_block: bool = False,
) -> Candidate:
    """A candidate from a method and a float model.

    Args:
        method: one of ``METHODS``.
        recipe: all of SpikeQuant's choices, and the bits of the others.
        calibration: text.
        float_model: gives a float model that may be modified; method ``fp`` does not.
        label: by default the method.
        output_bits: width of SpikeQuant's output codes; None reads the membranes.
        integer_block: whether decoder blocks compute in integers.

    Raises:
        InputError: unknown method.
    """
    chosen = find_method(method, recipe)

    def build() -> Built:
        language_model = float_model()
        how = apply_method(language_model, chosen, calibration)
        return _read_out(Built(language_model.model, how, recipe), output_bits, integer_block=integer_block)

    matters = recipe.model_dump_json() if method == SPIKEQUANT else f"{recipe.weights.bits} {recipe.activations.bits}"
    digest = digest_of([method, "" if method == FLOAT else matters, str(output_bits), str(integer_block)])
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
    folder: Path,
    *,
    label: str | None = None,
    output_bits: int | None = OUTPUT_BITS,
    integer_block: bool = False,
    loaded: Checkpoint | None = None,
) -> Candidate:
    """A candidate from a folder that ``quantize`` wrote.

    Args:
        folder: of the checkpoint.
        label: by default the method and the name of the folder.
        output_bits: as for ``method_candidate``.
        integer_block: as for ``method_candidate``.
        loaded: its content, if it is loaded already.

    Raises:
        InputError: its description cannot be read.
    """
    description = read_description(folder)
    training = f"; {description.training}" if description.training else ""
    how = f"{description.name} calibrated on {description.calibration}{training}"

    def build() -> Built:
        checkpoint = loaded or load_checkpoint(folder)
        read = Built(checkpoint.language_model.model, how, description.recipe)
        return _read_out(read, output_bits, integer_block=integer_block)

    digest = digest_of([sha256(folder / DESCRIPTION), str(output_bits), str(integer_block)])
    name = label or f"{SPIKEQUANT} ({folder.resolve().name})"
    return Candidate(name, SPIKEQUANT, digest, build, description.recipe.weights.bits)


def _read_out(built: Built, output_bits: int | None, *, integer_block: bool) -> Built:
    """The same with output codes of some bits, or with membranes, and with blocks in integers or in floats."""
    layers = quantized_layers(built.model)
    for layer in layers.values():
        layer.output_bits = output_bits
    readout = "; membranes" if output_bits is None else f"; codes of {output_bits} bits"
    if integer_block:
        use_integer_blocks(built.model, BlockWidths())
        readout += "; integer block"
    tokens = prefix_tokens(built.model)
    after = f"; prefix {list(tokens)}" if tokens else ""
    return replace(built, how=f"{built.how}{readout if layers else ''}{after}")
