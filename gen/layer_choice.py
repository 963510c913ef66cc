"""The one layer that a command runs: from a file of integers, or from a quantized model."""

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors, load_vectors
from spikequant.golden.support.errors import InputError


@dataclass(frozen=True)
class LayerChoice:
    """A layer named by ``--vectors``, or by ``--checkpoint`` with ``--layer``.

    Attributes:
        command: the command, for errors.
        vectors: file of a layer and its tokens.
        checkpoint: folder of a quantized model.
        layer: name of a layer of that model.
        tokens: tokens of real text to run through the model's layer.
        text: name or file of that text, as ``trace_corpus`` takes it.

    Raises:
        InputError: the options name no layer, or two.
    """

    command: str
    vectors: Path | None
    checkpoint: Path | None
    layer: str | None
    tokens: int = 1
    text: str | None = None

    def __post_init__(self) -> None:
        """Check that the options name exactly one layer."""
        if (self.vectors is None) == (self.checkpoint is None) or (self.checkpoint is None) != (self.layer is None):
            raise InputError(f"{self.command}: expected either --vectors IN.npz, or --checkpoint DIR with --layer NAME")

    @property
    def name(self) -> str:
        """Name of the layer in messages."""
        return str(self.vectors) if self.vectors is not None else f"{self.layer} of {self.checkpoint}"

    def load(self, spec: Spec) -> LayerVectors:
        """The layer and its tokens as integers.

        Args:
            spec: the accelerator that runs it.

        Raises:
            InputError: there is no such layer, or the accelerator cannot run it.
        """
        if self.vectors is not None:
            return load_vectors(self.vectors, spec)
        assert self.checkpoint is not None
        assert self.layer is not None
        # a file of integers does not need PyTorch, which these load
        from spikequant.golden.checkpoint.checkpoint import load_checkpoint  # noqa: PLC0415
        from spikequant.golden.evaluation.trace import layer_vectors  # noqa: PLC0415
        from spikequant.golden.models.text import trace_corpus  # noqa: PLC0415

        texts = trace_corpus(self.text).texts
        with Console(stderr=True).status("loading the model"):
            model = load_checkpoint(self.checkpoint).language_model
            return layer_vectors(model, self.layer, self.tokens, spec, texts=texts)[0]
