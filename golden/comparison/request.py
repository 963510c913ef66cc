"""Options of an evaluation, and checks that they fit together."""

from dataclasses import dataclass
from pathlib import Path

from spikequant.golden.checkpoint.checkpoint import is_checkpoint
from spikequant.golden.checkpoint.description import read_description
from spikequant.golden.evaluation.methods import METHODS, SPIKEQUANT, Calibration
from spikequant.golden.quantizer.output_steps import OUTPUT_BITS
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.errors import InputError

ALL = "all"
"""Every method."""


@dataclass(frozen=True)
class Request:
    """Options of an evaluation.

    Attributes:
        model: a float model, or a folder that ``quantize`` wrote.
        method: one of ``METHODS``, or ``all``.
        checkpoints: folders to compare the methods with.
        external: files with rows of other programs.
        texts: names or files, one or more.
        tokens: number of tokens to score of each text.
        context: tokens in a window.
        recipe: of SpikeQuant, and the bits of the other methods.
        calibration: text.
        reference: name of the float model to compare with; by default the model itself where a comparison is needed.
        output_bits: width of SpikeQuant's output codes; None reads the membranes.
        integer_block: whether SpikeQuant's decoder blocks compute in integers between their matrices.
        sweep: widths to compare; None for no sweep.
        layers: whether to measure every layer.
        integers: whether to run some layers in integers, too.
        stride: distance of the windows in tokens, so that they overlap; None for windows that do not.
    """

    model: str
    method: str
    checkpoints: tuple[Path, ...]
    external: tuple[Path, ...]
    texts: tuple[str, ...]
    tokens: int
    context: int
    recipe: Recipe
    calibration: Calibration
    reference: str | None = None
    output_bits: int | None = OUTPUT_BITS
    integer_block: bool = False
    sweep: tuple[int, ...] | None = None
    layers: bool = False
    integers: bool = False
    stride: int | None = None

    @property
    def from_checkpoint(self) -> bool:
        """Whether the model is a quantized checkpoint."""
        return is_checkpoint(Path(self.model))

    @property
    def several(self) -> bool:
        """Whether the float model is needed more than once."""
        return self.sweep is not None or self.method == ALL

    def check(self) -> None:
        """Check the options, as far as possible without loading a model.

        Raises:
            InputError: an option is unknown, out of range, or does not fit another one.
        """
        if self.method not in (*METHODS, ALL):
            raise InputError(f"method {self.method!r}: unknown, expected one of {', '.join((*METHODS, ALL))}")
        if self.from_checkpoint and (self.several or self.method != SPIKEQUANT):
            got = "a sweep" if self.sweep else self.method
            raise InputError(f"model {self.model}: a quantized checkpoint, expected --method {SPIKEQUANT}, got {got}")
        if self.checkpoints and (self.method != ALL or self.sweep):
            raise InputError(f"checkpoint {self.checkpoints[0]}: expected --method {ALL}, or the folder as the model")
        if self.external and (self.method != ALL or self.sweep):
            raise InputError(f"row {self.external[0]}: expected --method {ALL}")
        for folder in self.checkpoints:
            read_description(folder)
        alone = self.method == SPIKEQUANT and not self.several
        if self.output_bits is not None and not 2 <= self.output_bits <= 16:
            raise InputError(f"output-bits: {self.output_bits}, expected 2..16")
        if self.integer_block and not (alone and self.output_bits is not None and not self.layers):
            raise InputError(
                f"integer-block: expected method {SPIKEQUANT} alone, read from output codes, and without --layers"
            )
        if self.integers and not (alone and self.recipe.activations.scale == "static"):
            raise InputError(f"integers: expected method {SPIKEQUANT} alone, with static sites")
        if self.layers and not alone:
            raise InputError(
                f"layers: expected method {SPIKEQUANT} alone, got {'a sweep' if self.sweep else self.method}"
            )
        weights = self.recipe.weights
        if (self.layers or self.integers) and not self.from_checkpoint and (weights.group_size or weights.salient_k):
            raise InputError(
                "layers: recipe gives layers that the integer datapath cannot run, expected no research recipe"
            )
        steps = self.recipe.distillation.steps
        if steps and not self.from_checkpoint and (self.several or self.method == SPIKEQUANT):
            raise InputError(
                f"recipe: trains for {steps} steps, expected one without training, or a folder that quantize wrote"
            )
