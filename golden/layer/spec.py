"""The parameters of one accelerator, and every width that follows from them."""

from functools import cached_property
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from spikequant.golden.support.toml_files import override, read_toml

WORD_BITS = 32
"""Width of one stream word: weights, parameters and codes are packed into it."""

THETA_BITS = 32
"""Width of a neuron's threshold-scale register, unsigned."""

BIAS_BITS = 32
"""Width of a neuron's bias, signed."""

SMALLEST_CLUSTER = 8
"""Neurons of a cluster at least: a phase takes so long to drain that no membrane is read before it is written."""


def signed_bits(magnitude: int) -> int:
    """Width of a two's complement number that holds every value in -magnitude..magnitude."""
    return magnitude.bit_length() + 1


GATHERED = 2
"""Charges of finished phases that leave an array, or each cluster of one, in a cycle."""

LEAST_DRAIN_CYCLES = 8
"""Cycles between two phases at least: as long as a phase's particulars are held on their way."""


class Spec(BaseModel):
    """One accelerator. Frozen; what is derived from it is a read-only property.

    A weight is ``u - zero`` with ``u`` and ``zero`` unsigned of ``weight_bits``. An activation is
    an integer level: normal ones span ``activation_bits``, salient ones ``salient_bits`` times a
    power of two up to ``2**max_salient_shift``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    neurons: int = Field(
        default=64, ge=8, le=4096, description="neurons in parallel (N), a multiple of the weights in a word"
    )
    lanes: int = Field(default=4, ge=1, le=16, description="spikes taken per neuron and cycle (L), a power of two")
    clusters: int = Field(
        default=1, ge=1, le=64, description="equal parts of the neurons, each with membranes and a read-out of its own"
    )
    depth: int = Field(default=2044, ge=2, le=65536, description="inputs whose weights the synapse memory holds")
    weight_bits: Literal[2, 4, 8] = Field(default=4, description="bits of a stored weight")
    activation_bits: int = Field(default=4, ge=2, le=7, description="bits of a normal activation code")
    salient_bits: int = Field(default=5, ge=0, le=7, description="bits of a salient activation code; 0 leaves them out")
    max_salient_shift: int = Field(default=11, ge=0, le=15, description="largest power of two on salient codes (m)")
    population_bits: int = Field(
        default=12,
        ge=6,
        le=24,
        description="bits of the largest sum of levels in one phase, which the charge has room for",
    )
    membrane_bits: int = Field(default=32, ge=8, le=39, description="width of the membrane, signed, saturating")
    membrane_slots: int = Field(default=8, ge=1, le=256, description="tokens whose membranes are kept between tiles")
    theta_fraction_bits: int = Field(default=12, ge=0, le=24, description="fractional bits of the threshold (F)")
    output_bits: int = Field(default=8, ge=2, le=16, description="bits of an output code, signed (B)")
    ramp: Literal[4, 8, 16] = Field(
        default=8, description="highest level that fires; a larger activation fires in a burst of these and its rest"
    )
    score_words: int = Field(default=1024, ge=16, le=8192, description="beats kept in each of the two score buffers")
    readout: Literal["halving", "ramp"] = Field(
        default="halving",
        description="wide codes by successive halving, or the first-spike ramp (at most 5 output bits)",
    )

    @model_validator(mode="after")
    def _check(self) -> "Spec":
        if self.neurons % self.weights_per_word:
            raise ValueError(
                f"neurons: {self.neurons} is no multiple of {self.weights_per_word}, the weights in a word"
            )
        smallest = max(SMALLEST_CLUSTER, self.weights_per_word)
        if self.neurons % (self.clusters * self.weights_per_word) or self.neurons < self.clusters * smallest:
            raise ValueError(
                f"clusters: {self.clusters} do not cut {self.neurons} neurons into equal multiples of "
                f"{self.weights_per_word}, the weights in a word, with at least {smallest} each"
            )
        if self.lanes & (self.lanes - 1):
            raise ValueError(f"lanes: {self.lanes} is no power of two")
        if self.depth % self.lanes or self.depth < 2 * self.lanes:
            raise ValueError(f"depth: {self.depth} is no multiple of {self.lanes} lanes with at least two rows a lane")
        if self.score_words & (self.score_words - 1):
            raise ValueError(f"score_words: {self.score_words} is no power of two")
        if self.score_words < self.shortest_buffer:
            raise ValueError(
                f"score_words: {self.score_words}, expected {self.shortest_buffer} at least for one input a lane"
            )
        if self.lanes * self.max_level > self.max_population:
            raise ValueError(
                f"population_bits: {self.population_bits} cannot hold one input a lane, expected "
                f"{(self.lanes * self.max_level).bit_length()} at least"
            )
        if self.salient_bits and self.salient_bits < self.activation_bits:
            raise ValueError(f"salient_bits: {self.salient_bits} is below activation_bits {self.activation_bits}")
        if self.readout == "ramp" and self.output_bits > 5:
            raise ValueError(
                f"output_bits: {self.output_bits} is too wide for the ramp read-out, which takes at most 5"
            )
        return self

    @property
    def cluster(self) -> "Spec":
        """One cluster as an array of its own; neuron n belongs to cluster ``n // cluster.neurons``."""
        return self.model_copy(update={"neurons": self.neurons // self.clusters, "clusters": 1})

    @property
    def drain_cycles(self) -> int:
        """Cycles from the end of one phase to that of the next one at least: ``GATHERED`` charges leave in each."""
        return max(LEAST_DRAIN_CYCLES, self.neurons // self.clusters // GATHERED)

    @property
    def lane_rows(self) -> int:
        """Inputs of one lane; input k belongs to lane ``k % lanes``."""
        return self.depth // self.lanes

    @property
    def pairs(self) -> int:
        """Pairs of lanes, each with a synapse memory of its own; a single lane counts as one."""
        return max(1, self.lanes // 2)

    @property
    def pair_lanes(self) -> int:
        """Lanes of a pair: two, or the only one."""
        return min(2, self.lanes)

    @property
    def pair_rows(self) -> int:
        """Inputs of one pair of lanes."""
        return self.depth // self.pairs

    @property
    def memory_rows(self) -> int:
        """Rows of a synapse memory: its inputs behind a row of zeros, which lanes without a spike read."""
        return self.pair_rows + 1

    @property
    def max_burst(self) -> int:
        """Most spikes at the top of the ramp that one activation needs."""
        return self.max_level // self.ramp

    @property
    def shortest_buffer(self) -> int:
        """Beats that one input a lane may need, whatever their levels: no score can be made shorter.

        Bound: in each of two phases, the bursts of a pair's inputs side by side and two rests; and the doublings.
        """
        return 2 * (self.max_burst + 2) + self.max_salient_shift

    @property
    def weights_per_word(self) -> int:
        """Weights packed into one stream word."""
        return WORD_BITS // self.weight_bits

    @property
    def words_per_row(self) -> int:
        """Stream words that carry one input's weights for all neurons."""
        return self.neurons // self.weights_per_word

    @property
    def max_weight_code(self) -> int:
        """Largest stored weight."""
        return 2**self.weight_bits - 1

    @property
    def weight_offset(self) -> int:
        """The array adds ``u - weight_offset``, symmetric about zero; the read-out puts the rest right."""
        return 2 ** (self.weight_bits - 1)

    @property
    def max_activation_code(self) -> int:
        """Largest normal code."""
        return 2**self.activation_bits - 1

    @property
    def max_salient_code(self) -> int:
        """Largest salient code; 0 without a salient phase."""
        return 2**self.salient_bits - 1

    @property
    def max_level(self) -> int:
        """Largest level magnitude that one phase fires: a normal level, or a salient one before its shift."""
        return max(self.max_activation_code, self.max_salient_code)

    @property
    def max_population(self) -> int:
        """Largest sum of the levels' magnitudes in one phase."""
        return 2**self.population_bits - 1

    @property
    def widest_population_bits(self) -> int:
        """Width of the sum of the levels' magnitudes in one phase, even where it is larger than any phase may have."""
        return (self.depth * self.max_level << self.max_salient_shift).bit_length()

    @property
    def charge_bits(self) -> int:
        """Width of the charge that a neuron gathers in one phase of one tile, and of the current on the way to it.

        Bound: the levels' magnitudes sum up to ``max_population``, each times ``|u - weight_offset| <= weight_offset``.
        """
        return signed_bits(self.weight_offset * self.max_population)

    @property
    def corrected_bits(self) -> int:
        """Width of the charge once the zero point is in: ``|u - zero| < 2 * weight_offset``."""
        return self.charge_bits + 1

    @property
    def max_shift(self) -> int:
        """Largest shift between a phase and the membrane: salient, and the high half of a wide column."""
        return self.max_salient_shift + self.weight_bits

    @property
    def kept_bits(self) -> int:
        """Width of a membrane between phases, wide enough for every partial sum of one that ends in range.

        Bound: a partial sum may hold the high half of a wide weight without its low half, and
        ``|high * 2**weight_bits| <= (2**(weight_bits + 1) - 1) * |high * 2**weight_bits + low|``.
        """
        return self.membrane_bits + self.weight_bits + 1

    @property
    def biased_bits(self) -> int:
        """Width of the membrane with its bias, which is exact for every bias."""
        return max(self.membrane_bits, BIAS_BITS) + 1

    @property
    def max_output_code(self) -> int:
        """Largest output code: ``2**(B-1) - 1``."""
        return 2 ** (self.output_bits - 1) - 1

    @cached_property
    def widths(self) -> dict[str, int]:
        """The derived widths in bits, by name, for the manifest and for reports."""
        names = ("charge_bits", "corrected_bits", "kept_bits", "biased_bits")
        return {name: getattr(self, name) for name in names}

    def overflow_free_inputs(self, *, wide: bool = False) -> int:
        """Inputs K up to which no activation and no weight can overflow the membrane.

        Bound: ``|V| <= K * max_weight * max_level * 2**max_salient_shift``, in sixteenths (for 4-bit
        weights) and with the low half added when some columns are wide.
        """
        weight = self.max_weight_code
        if wide:
            weight = weight * 2**self.weight_bits + self.max_weight_code
        level = max(self.max_activation_code, self.max_salient_code * 2**self.max_salient_shift)
        return (2 ** (self.membrane_bits - 1) - 1) // (weight * level)


PRESETS: dict[str, Spec] = {
    "tiny": Spec(neurons=8, lanes=2, depth=64, membrane_slots=2, score_words=64),
    "base": Spec(),
    "max45": Spec(neurons=160, clusters=2, lanes=4, membrane_slots=4),
    "max85": Spec(neurons=384, clusters=4, lanes=4, membrane_slots=4),
}
"""Named specs.

``tiny`` is for tests. ``base``, the default, ``max45`` and ``max85`` do most useful weight-ops a second of all measured
shapes on an LFE5U-25F, 45F and 85F (docs/benchmarks.md); ``max85`` is the largest that routes on it.
"""


def make_spec(values: dict[str, Any], *, source: str) -> Spec:
    """A spec from TOML values, which may name a ``preset`` to start from.

    Raises:
        InputError: an unknown preset or key, or a value out of range; ``source`` says where.
    """
    return override(values, presets=PRESETS, default="base", source=source)


def load_spec(config: str) -> Spec:
    """The spec that ``--config`` names: a preset, or a TOML file.

    Raises:
        InputError: no such preset or file, unreadable TOML, or a bad value in it.
    """
    if config in PRESETS:
        return PRESETS[config]
    return make_spec(read_toml(config, what="config", presets=PRESETS), source=f"config {config}")
