"""The work of one token in one linear layer, for each method that the energy table compares.

All methods run on an array of the spec's number of neurons, so that a layer has as many tiles of outputs and an
input is moved as many times. Integer accumulators of the other methods are exactly as wide as their sums need,
which is to their favour, and zero points of their weights are taken to be 0. Not counted for any method: clocks,
control, registers, leakage.
"""

from collections.abc import Callable
from dataclasses import dataclass

from spikequant.golden.energy.activity import GIF_SALIENT_SHARE, LayerActivity
from spikequant.golden.energy.work import Component, Kind, Work
from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, Spec, signed_bits

GROUP = 128
"""Inputs that share a scale in W4A4 with groups, and in Atom."""

ATOM_WIDE_SHARE = 0.0625
"""Share of Atom's channels in INT8."""

FLOAT_BITS = 16
"""Width of a float activation or scale."""

CODE_BITS = 8
"""SpikeQuant's packets carry a code with its salient flag in a byte."""

LEVEL_BITS = 5
"""Width of a signed level, or of a salient code, as a factor."""


@dataclass(frozen=True)
class EnergyMethod:
    """A way to run a linear layer.

    Attributes:
        name: for files.
        title: for people.
        note: what is counted, and where from.
        work: of one token in a layer.
    """

    name: str
    title: str
    note: str
    work: Callable[[LayerActivity, Spec], list[Work]]


def output_tiles(layer: LayerActivity, spec: Spec) -> int:
    """How often the array is filled with outputs of the layer; each time all inputs come again."""
    return -(-layer.outputs // spec.neurons)


def _sum_bits(terms: int, weight_bits: int, activation_bits: int) -> int:
    """Width of an accumulator of so many products."""
    return signed_bits(terms << (weight_bits - 1) << (activation_bits - 1))


def _weights(bits: float) -> list[Work]:
    """Weights or scales that are read once, and fetched once."""
    return [Work(Component.WEIGHT, Kind.WEIGHT_READ, bits), Work(Component.FETCH, Kind.WEIGHT_FETCH, bits)]


def _moved(layer: LayerActivity, spec: Spec, input_bits: float, output_bits: int) -> list[Work]:
    """Codes of all inputs to every tile of outputs, and the outputs away."""
    bits = input_bits * output_tiles(layer, spec) + layer.outputs * output_bits
    return [Work(Component.MOVE, Kind.CODE_MOVE, bits)]


def _spiking_moved(layer: LayerActivity, spec: Spec, input_bits: float, spikes: float, output_bits: int) -> list[Work]:
    """The same where the array takes spikes: codes that become spikes beside it, or the spikes themselves."""
    tiles = output_tiles(layer, spec)
    return [
        Work(Component.MOVE, Kind.SPIKE_CODE_MOVE, input_bits * tiles),
        Work(Component.MOVE, Kind.SPIKE_MOVE, spikes * tiles),
        Work(Component.MOVE, Kind.CODE_MOVE, layer.outputs * output_bits),
    ]


def _coded(values: float, comparisons: int) -> list[Work]:
    """Float inputs into codes: one multiplication each, and comparisons that look for ranges or salient values."""
    return [
        Work(Component.CODE, Kind.FLOAT_MULTIPLY, values, FLOAT_BITS),
        Work(Component.CODE, Kind.FLOAT_ADD, values * comparisons, FLOAT_BITS),
    ]


def _dequantized(outputs: int, sums: int) -> list[Work]:
    """Integer sums to one float output: the product of both scales, times the sum, plus the output so far.

    These are the operations of Atom's published kernel: a 16-bit product of scales, a 32-bit multiplication and a
    32-bit addition. The conversion from integer to float is left out.
    """
    return [
        Work(Component.SCALE, Kind.FLOAT_MULTIPLY, outputs * sums, 16),
        Work(Component.SCALE, Kind.FLOAT_MULTIPLY, outputs * sums, 32),
        Work(Component.SCALE, Kind.FLOAT_ADD, outputs * (sums - 1), 32),
    ]


def _products(count: float, bits: int, by_bits: int, sum_bits: int) -> list[Work]:
    return [
        Work(Component.MULTIPLY, Kind.INTEGER_MULTIPLY, count, bits, by_bits),
        Work(Component.ADD, Kind.INTEGER_ADD, count, sum_bits),
    ]


def float_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """FP16 weights, activations and sums."""
    products = layer.inputs * layer.outputs
    return [
        Work(Component.MULTIPLY, Kind.FLOAT_MULTIPLY, products, FLOAT_BITS),
        Work(Component.ADD, Kind.FLOAT_ADD, products, FLOAT_BITS),
        *_weights(products * FLOAT_BITS),
        *_moved(layer, spec, layer.inputs * FLOAT_BITS, FLOAT_BITS),
    ]


def _mac_work(layer: LayerActivity, spec: Spec, bits: int, group: int) -> list[Work]:
    """Weights and activations of so many bits, with one scale a group of inputs and output."""
    products = layer.inputs * layer.outputs
    sums = -(-layer.inputs // group)
    return [
        *_products(products, bits, bits, _sum_bits(min(group, layer.inputs), bits, bits)),
        *_dequantized(layer.outputs, sums),
        *_coded(layer.inputs, 1),
        *_weights(products * bits + layer.outputs * sums * FLOAT_BITS),
        *_moved(layer, spec, layer.inputs * bits + sums * FLOAT_BITS, FLOAT_BITS),
    ]


def int8_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """W8A8, symmetric, one dequantization an output."""
    return _mac_work(layer, spec, 8, layer.inputs)


def w4a4_output_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """W4A4, symmetric, one dequantization an output."""
    return _mac_work(layer, spec, 4, layer.inputs)


def w4a4_group_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """W4A4, symmetric, one dequantization an output and group of 128 inputs."""
    return _mac_work(layer, spec, 4, GROUP)


def atom_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """Atom-like: W4A4 in groups of 128, 6.25 % of the channels W8A8 in groups of their own."""
    wide = round(ATOM_WIDE_SHARE * layer.inputs)
    narrow = layer.inputs - wide
    sums = -(-narrow // GROUP) + -(-wide // GROUP)
    bits = 4 * narrow + 8 * wide
    return [
        *_products(narrow * layer.outputs, 4, 4, _sum_bits(GROUP, 4, 4)),
        *_products(wide * layer.outputs, 8, 8, _sum_bits(GROUP, 8, 8)),
        *_dequantized(layer.outputs, sums),
        *_coded(layer.inputs, 1),
        *_weights(bits * layer.outputs + layer.outputs * sums * FLOAT_BITS),
        *_moved(layer, spec, bits + sums * FLOAT_BITS, FLOAT_BITS),
    ]


def _gif_work(layer: LayerActivity, spec: Spec, *, spikes: float, active: float, unsigned: bool) -> list[Work]:
    """SpikeLLM-like: a weight is read and added for each spike; salient and other channels have a sum each."""
    sum_bits = _sum_bits(layer.inputs, 4, LEVEL_BITS + 1)
    correction = [
        Work(Component.SCALE, Kind.INTEGER_MULTIPLY, 2 * layer.outputs, LEVEL_BITS, _sum_bits(layer.inputs, 4, 1)),
        Work(Component.SCALE, Kind.INTEGER_ADD, 2 * layer.outputs, sum_bits),
    ]
    scales = 2 * layer.outputs * FLOAT_BITS
    code_bits = (4 + GIF_SALIENT_SHARE) * layer.inputs
    return [
        Work(Component.ADD, Kind.INTEGER_ADD, spikes * layer.outputs, sum_bits),
        *(correction if unsigned else []),
        *_dequantized(layer.outputs, 2),
        *_coded(layer.inputs, 2),
        Work(Component.WEIGHT, Kind.WEIGHT_READ, 4 * spikes * layer.outputs + scales),
        Work(Component.FETCH, Kind.WEIGHT_FETCH, 4 * active * layer.outputs + scales),
        *_spiking_moved(layer, spec, code_bits, spikes, FLOAT_BITS),
    ]


def gif_binary_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """Each level of an unsigned code is a binary spike; the zero point is taken off the sums."""
    return _gif_work(layer, spec, spikes=layer.gif.binary, active=layer.gif.active, unsigned=True)


def gif_signed_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """Each level between a code and its zero point is a spike with a sign: the fewest that levels can give."""
    return _gif_work(layer, spec, spikes=layer.gif.signed, active=layer.gif.signed_active, unsigned=False)


def gif_bits_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """Each bit of an unsigned code is a spike of its own weight, shifted for free."""
    return _gif_work(layer, spec, spikes=layer.gif.bits, active=layer.gif.active, unsigned=True)


def _neuron_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """What follows a phase's charges: zero point, shift, membrane; then once the bias and the read-out.

    The zero point is a sum of ``weight_bits + 1`` shifted populations on top of the charge. A variable shift is
    priced as one addition. Each phase reads the neuron's constants, and reads and writes its membrane with a flag.
    Halving the threshold subtracts once a bit, and its comparison is the same subtraction.
    """
    phases = layer.events.phases * layer.outputs
    constants = THETA_BITS + BIAS_BITS + spec.weight_bits
    readout_bits = max(spec.biased_bits + spec.theta_fraction_bits, THETA_BITS + spec.output_bits - 1) + 1
    steps = spec.output_bits - 1 if spec.readout == "halving" else spec.max_output_code
    return [
        Work(Component.NEURON, Kind.INTEGER_ADD, phases * (spec.weight_bits + 1), spec.corrected_bits),
        Work(Component.NEURON, Kind.INTEGER_ADD, phases, spec.corrected_bits + spec.max_shift),
        Work(Component.NEURON, Kind.INTEGER_ADD, phases, spec.kept_bits),
        Work(Component.NEURON, Kind.INTEGER_ADD, layer.outputs, spec.biased_bits),
        Work(Component.SCALE, Kind.INTEGER_ADD, layer.outputs * (1 + steps), readout_bits),
        Work(Component.STATE, Kind.STATE_ACCESS, phases * (2 * (spec.kept_bits + 1) + constants)),
        Work(Component.FETCH, Kind.WEIGHT_FETCH, layer.outputs * constants),
    ]


def _site_work(layer: LayerActivity) -> list[Work]:
    """SpikeQuant's codes: one multiplication, the distance from the median and its comparison, the salient window."""
    return [*_coded(layer.inputs, 2), Work(Component.CODE, Kind.FLOAT_ADD, 2 * layer.events.salient, FLOAT_BITS)]


def _population_work(layer: LayerActivity, spec: Spec, additions: float) -> list[Work]:
    """The sum of the levels, one more integrator for a whole tile of outputs."""
    return [
        Work(
            Component.NEURON, Kind.INTEGER_ADD, additions * output_tiles(layer, spec), signed_bits(spec.max_population)
        )
    ]


def _row_weights(layer: LayerActivity, spec: Spec, rows: float) -> list[Work]:
    """So many rows of weights, read beside the array; silent inputs are neither read nor fetched."""
    fetched = layer.events.active + layer.events.low_active
    return [
        Work(Component.WEIGHT, Kind.WEIGHT_READ, spec.weight_bits * rows * layer.outputs),
        Work(Component.FETCH, Kind.WEIGHT_FETCH, spec.weight_bits * fetched * layer.outputs),
    ]


def spike_count_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """SpikeQuant with count coding: level n is |n| spikes, each reads its weights and adds them to the charges."""
    events = layer.events
    spikes = events.normal_levels + events.salient_codes + events.low_normal_levels + events.low_salient_codes
    return [
        Work(Component.ADD, Kind.INTEGER_ADD, spikes * layer.outputs, spec.charge_bits),
        *_population_work(layer, spec, spikes),
        *_neuron_work(layer, spec),
        *_site_work(layer),
        *_row_weights(layer, spec, spikes),
        *_spiking_moved(layer, spec, CODE_BITS * (layer.inputs + layer.wide), spikes, spec.output_bits),
    ]


def first_spike_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """SpikeQuant with time-to-first-spike, as the accelerator does it.

    A spike is one addition to the current, a level of the ramp one addition of the current to the charge, in every
    neuron; a charge that is doubled in place takes additions of its own. The encoder sorts each spike for each tile
    of outputs: it reads and writes a list head, and writes and reads a link. The score that comes of it is written
    and read once.
    """
    spikes = layer.events.spikes + layer.events.low_spikes
    ticks = layer.events.ticks + layer.events.doublings
    # beside the address: of a link sign and end, of a score's spike its sign
    link_bits = max(1, (spec.lane_rows - 1).bit_length()) + 2
    score_bits = max(1, (spec.memory_rows - 1).bit_length()) + 1
    sorting_bits = 4 * link_bits + 2 * score_bits
    return [
        Work(Component.ADD, Kind.INTEGER_ADD, spikes * layer.outputs, spec.charge_bits),
        Work(Component.TICK, Kind.INTEGER_ADD, ticks * layer.outputs, spec.charge_bits),
        *_population_work(layer, spec, spikes + ticks),
        *_neuron_work(layer, spec),
        *_site_work(layer),
        Work(Component.CODE, Kind.STATE_ACCESS, sorting_bits * spikes * output_tiles(layer, spec)),
        *_row_weights(layer, spec, spikes),
        *_spiking_moved(layer, spec, CODE_BITS * (layer.inputs + layer.wide), spikes, spec.output_bits),
    ]


def sparse_mac_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """A multiplier in the place of the ramp: SpikeQuant's codes, weights and read-out, silent inputs skipped."""
    products = layer.events.active + layer.events.low_active
    return [
        *_products(products * layer.outputs, spec.weight_bits, LEVEL_BITS, spec.charge_bits),
        *_population_work(layer, spec, products),
        *_neuron_work(layer, spec),
        *_site_work(layer),
        *_row_weights(layer, spec, products),
        *_moved(layer, spec, CODE_BITS * (layer.inputs + layer.wide), spec.output_bits),
    ]


FIRST_SPIKE = EnergyMethod(
    "spikequant-ttfs",
    "SpikeQuant, time to first spike",
    "one spike an input that is not silent, and one addition a neuron and level of the ramp",
    first_spike_work,
)
"""What every ratio refers to."""

ATOM = EnergyMethod(
    "atom",
    "Atom-like",
    "arXiv 2310.19102: W4A4 in groups of 128, 6.25 % of the channels W8A8; dequantization as in its published kernel",
    atom_work,
)

GIF = (
    EnergyMethod(
        "spikellm-binary",
        "SpikeLLM-like, binary spikes",
        "arXiv 2407.04752: unsigned 4-bit codes, 5-bit in 10 % of the channels, a spike a level",
        gif_binary_work,
    ),
    EnergyMethod(
        "spikellm-signed",
        "SpikeLLM-like, signed spikes",
        "the same codes, a spike a level away from the zero point: a lower bound, not what SpikeLLM does",
        gif_signed_work,
    ),
    EnergyMethod(
        "spikellm-bits", "SpikeLLM-like, a spike a bit", "the same codes, a spike a bit that is 1", gif_bits_work
    ),
)

METHODS = (
    EnergyMethod("fp16", "FP16", "16-bit weights, activations and sums", float_work),
    EnergyMethod("int8", "INT8 MAC", "W8A8, one dequantization an output", int8_work),
    EnergyMethod("w4a4-output", "W4A4 MAC, scale an output", "one dequantization an output", w4a4_output_work),
    EnergyMethod(
        "w4a4-group", "W4A4 MAC, scale a group", "one dequantization an output and 128 inputs", w4a4_group_work
    ),
    ATOM,
    *GIF,
    EnergyMethod(
        "spikequant-mac",
        "SpikeQuant's codes on a MAC",
        "the same codes, weights and read-out, silent inputs skipped, 4 x 5 bit products in place of spikes and ramp",
        sparse_mac_work,
    ),
    EnergyMethod(
        "spikequant-count",
        "SpikeQuant, count coding",
        "an input at level n fires |n| spikes, a salient one at code c fires |c|",
        spike_count_work,
    ),
    FIRST_SPIKE,
)
"""Every method, in the order of the tables."""
