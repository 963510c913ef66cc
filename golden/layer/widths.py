"""Sizes and widths of an accelerator, derived from its settings."""

from typing import Self

from spikequant.golden.layer.settings import Settings

WORD_BITS = 32
"""Width of one stream word, into which weights, parameters and codes are packed."""

THETA_BITS = 32
"""Width of a neuron's threshold-scale register, unsigned."""

BIAS_BITS = 32
"""Width of a neuron's bias, signed."""

GATHERED = 2
"""Charges of finished phases that leave an array, or each cluster of one, in a cycle."""

LEAST_DRAIN_CYCLES = 8
"""Minimum number of cycles between two phases, during which the registers of a phase's control stay valid."""


def signed_bits(magnitude: int) -> int:
    """Width of a two's complement number that holds every value in -magnitude..magnitude."""
    return magnitude.bit_length() + 1


class Widths(Settings):
    """Settings with everything that is derived from them, as read-only properties.

    A weight is ``u - zero`` with ``u`` and ``zero`` unsigned of ``weight_bits``. An activation is an integer level:
    normal ones span ``activation_bits``, salient ones ``salient_bits`` times a power of two up to
    ``2**max_salient_shift``.
    """

    @property
    def cluster(self) -> Self:
        """One cluster as an array of its own; neuron n belongs to cluster ``n // cluster.neurons``."""
        return self.model_copy(update={"neurons": self.neurons // self.clusters, "clusters": 1})

    @property
    def drain_cycles(self) -> int:
        """Minimum number of cycles between the ends of two phases: ``GATHERED`` charges leave in each."""
        return max(LEAST_DRAIN_CYCLES, self.neurons // self.clusters // GATHERED)

    @property
    def lane_rows(self) -> int:
        """Inputs of one lane; input k belongs to lane ``k % lanes``."""
        return self.depth // self.lanes

    @property
    def pairs(self) -> int:
        """Pairs of lanes, each with its own synapse memory; a single lane counts as one."""
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
        """Rows of a synapse memory: a row of zeros, which lanes without a spike read, and then one for each input."""
        return self.pair_rows + 1

    @property
    def row_bits(self) -> int:
        """Bits of a row of a cluster's synapse memory: the weights of its neurons, and their parity if there is one."""
        return self.neurons // self.clusters * self.weight_bits + self.weight_parity

    @property
    def max_burst(self) -> int:
        """Most spikes at the top of the ramp that one activation needs."""
        return self.max_level // self.ramp

    @property
    def shortest_buffer(self) -> int:
        """Beats that one input per lane may need, whatever their levels: no score can be made shorter.

        Bound: in each of two phases, the bursts of a pair's inputs in the same beats and two rests; and the doublings.
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
        """Offset of the weights ``u - weight_offset`` that the array adds, so that they are symmetric about zero."""
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
        """Largest level magnitude in one phase: of a normal level, or of a salient one before its shift."""
        return max(self.max_activation_code, self.max_salient_code)

    @property
    def max_population(self) -> int:
        """Largest sum of the levels' magnitudes in one phase."""
        return 2**self.population_bits - 1

    @property
    def widest_population_bits(self) -> int:
        """Width of the sum of all levels' magnitudes, even if it exceeds ``max_population``."""
        return (self.depth * self.max_level << self.max_salient_shift).bit_length()

    @property
    def charge_bits(self) -> int:
        """Width of a neuron's charge in one phase of one tile, and of the current that it integrates.

        Bound: the levels' magnitudes sum up to ``max_population``, each times ``|u - weight_offset| <= weight_offset``.
        """
        return signed_bits(self.weight_offset * self.max_population)

    @property
    def corrected_bits(self) -> int:
        """Width of the charge after the zero-point correction: ``|u - zero| < 2 * weight_offset``."""
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

    @property
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
