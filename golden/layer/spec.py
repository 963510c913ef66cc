"""The spec of one accelerator: checked settings, their derived widths, presets and files."""

from typing import Any, Self

from pydantic import model_validator

from spikequant.golden.layer.widths import BIAS_BITS, GATHERED, THETA_BITS, WORD_BITS, Widths, signed_bits
from spikequant.golden.support.toml_files import override, read_toml

__all__ = [
    "BIAS_BITS",
    "GATHERED",
    "PRESETS",
    "THETA_BITS",
    "WORD_BITS",
    "Spec",
    "load_spec",
    "make_spec",
    "signed_bits",
]

SMALLEST_CLUSTER = 8
"""Fewest neurons of a cluster: a phase then drains for so long that no membrane is read before it is written."""


class Spec(Widths):
    """One accelerator, immutable: its settings fit each other, and derived sizes and widths are properties."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.neurons % self.weights_per_word:
            raise ValueError(
                f"neurons: {self.neurons} is not a multiple of {self.weights_per_word}, the weights in a word"
            )
        smallest = max(SMALLEST_CLUSTER, self.weights_per_word)
        if self.neurons % (self.clusters * self.weights_per_word) or self.neurons < self.clusters * smallest:
            raise ValueError(
                f"clusters: {self.clusters} do not divide {self.neurons} neurons into equal multiples of "
                f"{self.weights_per_word}, the weights in a word, with at least {smallest} each"
            )
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"lanes: {self.lanes} is not a power of two")
        if self.depth % self.lanes or self.depth < 2 * self.lanes:
            raise ValueError(f"depth: {self.depth} is not a multiple of {self.lanes} lanes, two rows per lane at least")
        if self.score_words & (self.score_words - 1):
            raise ValueError(f"score_words: {self.score_words} is not a power of two")
        if self.score_words < self.shortest_buffer:
            raise ValueError(
                f"score_words: {self.score_words}, expected at least {self.shortest_buffer} for one input per lane"
            )
        if self.lanes * self.max_level > self.max_population:
            raise ValueError(
                f"population_bits: {self.population_bits} cannot hold one input per lane, expected "
                f"at least {(self.lanes * self.max_level).bit_length()}"
            )
        if self.salient_bits and self.salient_bits < self.activation_bits:
            raise ValueError(f"salient_bits: {self.salient_bits} is below activation_bits {self.activation_bits}")
        if self.readout == "ramp" and self.output_bits > 5:
            raise ValueError(
                f"output_bits: {self.output_bits} is too wide for the ramp read-out, which takes at most 5"
            )
        return self


PRESETS: dict[str, Spec] = {
    "tiny": Spec(neurons=8, lanes=2, depth=64, membrane_slots=2, score_words=64),
    "base": Spec(),
    "max45": Spec(neurons=160, clusters=2, lanes=4, membrane_slots=4),
    "max85": Spec(neurons=384, clusters=4, lanes=4, membrane_slots=4),
}
"""Specs by name.

``tiny`` is for tests. ``base``, the default, ``max45`` and ``max85`` have the most useful weight-ops per second of all
measured shapes on an LFE5U-25F, 45F and 85F (docs/benchmarks.md); ``max85`` is the largest that routes on it.
"""


def make_spec(values: dict[str, Any], *, source: str) -> Spec:
    """A spec from TOML values, which may name a ``preset`` to start from.

    Raises:
        InputError: an unknown preset or key, or a value out of range; ``source`` names the place.
    """
    return override(values, presets=PRESETS, default="base", source=source)


def load_spec(config: str) -> Spec:
    """The spec of ``--config``: a preset, or a TOML file.

    Raises:
        InputError: no such preset or file, invalid TOML, or a bad value in it.
    """
    if config in PRESETS:
        return PRESETS[config]
    return make_spec(read_toml(config, what="config", presets=PRESETS), source=f"config {config}")
