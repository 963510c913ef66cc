"""Work of one token in one linear layer, for each method that the energy table compares.

All methods run on an array with the neurons of the spec, so that a layer has the same number of output tiles, and an
input is moved equally often. In favour of the other methods, their integer accumulators are exactly as wide as their
sums need, and the zero points of their weights are 0. Clocks, control, registers and leakage are not counted.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from spikequant.golden.baselines.atom import GROUP, WIDE_BITS, WIDE_SHARE
from spikequant.golden.energy.activity import GIF_SALIENT_SHARE, LayerActivity
from spikequant.golden.energy.work import Component, Kind, Work
from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, Spec, signed_bits

FLOAT_BITS = 16
"""Width of a float activation or scale."""

CODE_BITS = 8
"""Width of a code with its salient flag in SpikeQuant's packets."""

LEVEL_BITS = 5
"""Width of a signed level, or of a salient code, as a factor."""


@dataclass(frozen=True)
class EnergyMethod:
    """Method to run a linear layer.

    Attributes:
        name: identifier in files.
        title: name in tables.
        note: what is counted, and its source.
        work: operations of one token in a layer.
    """

    name: str
    title: str
    note: str
    work: Callable[[LayerActivity, Spec], list[Work]]


def output_tiles(layer: LayerActivity, spec: Spec) -> int:
    """Number of output tiles of the layer, each of which takes all inputs."""
    return -(-layer.outputs // spec.neurons)


def _sum_bits(terms: int, weight_bits: int, activation_bits: int) -> int:
    """Width of an accumulator of ``terms`` products, in bits."""
    return signed_bits(terms << (weight_bits - 1) << (activation_bits - 1))


def _weights(bits: float) -> list[Work]:
    """One read and one fetch of weights or scales."""
    return [Work(Component.WEIGHT, Kind.WEIGHT_READ, bits), Work(Component.FETCH, Kind.WEIGHT_FETCH, bits)]


def _moved(layer: LayerActivity, spec: Spec, input_bits: float, output_bits: int) -> list[Work]:
    """Movement of all inputs to every output tile, and of the outputs out."""
    bits = input_bits * output_tiles(layer, spec) + layer.outputs * output_bits
    return [Work(Component.MOVE, Kind.CODE_MOVE, bits)]


def _spiking_moved(layer: LayerActivity, spec: Spec, input_bits: float, spikes: float, output_bits: int) -> list[Work]:
    """Movement where the array takes spikes: of codes that become spikes next to it, or of the spikes themselves."""
    tiles = output_tiles(layer, spec)
    return [
        Work(Component.MOVE, Kind.SPIKE_CODE_MOVE, input_bits * tiles),
        Work(Component.MOVE, Kind.SPIKE_MOVE, spikes * tiles),
        Work(Component.MOVE, Kind.CODE_MOVE, layer.outputs * output_bits),
    ]


def _coded(values: float, comparisons: int) -> list[Work]:
    """Coding of float inputs: a multiplication each, and comparisons to find ranges or salient values."""
    return [
        Work(Component.CODE, Kind.FLOAT_MULTIPLY, values, FLOAT_BITS),
        Work(Component.CODE, Kind.FLOAT_ADD, values * comparisons, FLOAT_BITS),
    ]


def _dequantized(outputs: int, sums: int) -> list[Work]:
    """Dequantization of integer sums: the product of both scales, times the sum, added to the output.

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


def _float_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """FP16 weights, activations and sums."""
    products = layer.inputs * layer.outputs
    return [
        Work(Component.MULTIPLY, Kind.FLOAT_MULTIPLY, products, FLOAT_BITS),
        Work(Component.ADD, Kind.FLOAT_ADD, products, FLOAT_BITS),
        *_weights(products * FLOAT_BITS),
        *_moved(layer, spec, layer.inputs * FLOAT_BITS, FLOAT_BITS),
    ]


def _mac_work(layer: LayerActivity, spec: Spec, *, bits: int, group: int | None = None) -> list[Work]:
    """Symmetric weights and activations, one scale for an output and a group of inputs, or all inputs."""
    products = layer.inputs * layer.outputs
    group = min(group or layer.inputs, layer.inputs)
    sums = -(-layer.inputs // group)
    return [
        *_products(products, bits, bits, _sum_bits(group, bits, bits)),
        *_dequantized(layer.outputs, sums),
        *_coded(layer.inputs, 1),
        *_weights(products * bits + layer.outputs * sums * FLOAT_BITS),
        *_moved(layer, spec, layer.inputs * bits + sums * FLOAT_BITS, FLOAT_BITS),
    ]


def _atom_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """Atom-like: W4A4 in groups of 128, 6.25 % of the channels W8A8 in groups of their own."""
    wide = round(WIDE_SHARE * layer.inputs)
    narrow = layer.inputs - wide
    sums = -(-narrow // GROUP) + -(-wide // GROUP)
    bits = 4 * narrow + WIDE_BITS * wide
    return [
        *_products(narrow * layer.outputs, 4, 4, _sum_bits(GROUP, 4, 4)),
        *_products(wide * layer.outputs, WIDE_BITS, WIDE_BITS, _sum_bits(GROUP, WIDE_BITS, WIDE_BITS)),
        *_dequantized(layer.outputs, sums),
        *_coded(layer.inputs, 1),
        *_weights(bits * layer.outputs + layer.outputs * sums * FLOAT_BITS),
        *_moved(layer, spec, bits + sums * FLOAT_BITS, FLOAT_BITS),
    ]


def _gif_work(layer: LayerActivity, spec: Spec, *, coding: Literal["binary", "signed", "bits"]) -> list[Work]:
    """SpikeLLM-like: a weight is read and added for each spike; salient and other channels have a sum each.

    A spike is a level of an unsigned code (binary), a level between a code and its zero point (signed), or a bit of an
    unsigned code, shifted for free (bits). The zero point of unsigned codes is subtracted from the sums.
    """
    spikes = getattr(layer.gif, coding)
    active = layer.gif.signed_active if coding == "signed" else layer.gif.active
    sum_bits = _sum_bits(layer.inputs, 4, LEVEL_BITS + 1)
    correction = [
        Work(Component.SCALE, Kind.INTEGER_MULTIPLY, 2 * layer.outputs, LEVEL_BITS, _sum_bits(layer.inputs, 4, 1)),
        Work(Component.SCALE, Kind.INTEGER_ADD, 2 * layer.outputs, sum_bits),
    ]
    scales = 2 * layer.outputs * FLOAT_BITS
    code_bits = (4 + GIF_SALIENT_SHARE) * layer.inputs
    return [
        Work(Component.ADD, Kind.INTEGER_ADD, spikes * layer.outputs, sum_bits),
        *(correction if coding != "signed" else []),
        *_dequantized(layer.outputs, 2),
        *_coded(layer.inputs, 2),
        Work(Component.WEIGHT, Kind.WEIGHT_READ, 4 * spikes * layer.outputs + scales),
        Work(Component.FETCH, Kind.WEIGHT_FETCH, 4 * active * layer.outputs + scales),
        *_spiking_moved(layer, spec, code_bits, spikes, FLOAT_BITS),
    ]


def _neuron_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """Work after the charges of a phase: zero point, shift, membrane; then once the bias and the read-out.

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
    """Coding by SpikeQuant: a multiplication, distance from the median and comparison; range of the salient values."""
    return [*_coded(layer.inputs, 2), Work(Component.CODE, Kind.FLOAT_ADD, 2 * layer.events.salient, FLOAT_BITS)]


def _population_work(layer: LayerActivity, spec: Spec, additions: float) -> list[Work]:
    """Sum of the levels, one integrator for each output tile."""
    return [
        Work(
            Component.NEURON, Kind.INTEGER_ADD, additions * output_tiles(layer, spec), signed_bits(spec.max_population)
        )
    ]


def _row_weights(layer: LayerActivity, spec: Spec, rows: float) -> list[Work]:
    """Rows of weights, read next to the array; those of silent inputs are neither read nor fetched."""
    fetched = layer.events.active + layer.events.low_active
    return [
        Work(Component.WEIGHT, Kind.WEIGHT_READ, spec.weight_bits * rows * layer.outputs),
        Work(Component.FETCH, Kind.WEIGHT_FETCH, spec.weight_bits * fetched * layer.outputs),
    ]


def _spike_count_work(layer: LayerActivity, spec: Spec) -> list[Work]:
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


def _first_spike_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """SpikeQuant with time-to-first-spike, as in the accelerator.

    In every neuron, a spike is one addition to the current, a level of the ramp one addition of the current to the
    charge, and doubling a charge in place takes further additions. For each output tile, the encoder sorts each
    spike: it reads and writes a list head, and writes and reads a link. The resulting score is written and read once.
    """
    spikes = layer.events.spikes + layer.events.low_spikes
    ticks = layer.events.ticks + layer.events.doublings
    # a link holds an address, a sign and an end mark; a spike of a score an address and a sign
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


def _sparse_mac_work(layer: LayerActivity, spec: Spec) -> list[Work]:
    """SpikeQuant's codes, weights and read-out with multipliers instead of the ramp; silent inputs are skipped."""
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
    _first_spike_work,
)
"""Reference of every ratio."""

ATOM = EnergyMethod(
    "atom",
    "Atom-like",
    "arXiv 2310.19102: W4A4 in groups of 128, 6.25 % of the channels W8A8; dequantization as in its published kernel",
    _atom_work,
)

GIF = (
    EnergyMethod(
        "spikellm-binary",
        "SpikeLLM-like, binary spikes",
        "arXiv 2407.04752: unsigned 4-bit codes, 5-bit in 10 % of the channels, a spike a level",
        partial(_gif_work, coding="binary"),
    ),
    EnergyMethod(
        "spikellm-signed",
        "SpikeLLM-like, signed spikes",
        "the same codes, a spike a level away from the zero point: a lower bound, not what SpikeLLM does",
        partial(_gif_work, coding="signed"),
    ),
    EnergyMethod(
        "spikellm-bits",
        "SpikeLLM-like, a spike a bit",
        "the same codes, a spike a bit that is 1",
        partial(_gif_work, coding="bits"),
    ),
)

METHODS = (
    EnergyMethod("fp16", "FP16", "16-bit weights, activations and sums", _float_work),
    EnergyMethod("int8", "INT8 MAC", "W8A8, one dequantization an output", partial(_mac_work, bits=8)),
    EnergyMethod(
        "w4a4-output", "W4A4 MAC, scale an output", "one dequantization an output", partial(_mac_work, bits=4)
    ),
    EnergyMethod(
        "w4a4-group",
        "W4A4 MAC, scale a group",
        "one dequantization an output and 128 inputs",
        partial(_mac_work, bits=4, group=GROUP),
    ),
    ATOM,
    *GIF,
    EnergyMethod(
        "spikequant-mac",
        "SpikeQuant's codes on a MAC",
        "the same codes, weights and read-out, silent inputs skipped, 4 x 5 bit products instead of spikes and ramp",
        _sparse_mac_work,
    ),
    EnergyMethod(
        "spikequant-count",
        "SpikeQuant, count coding",
        "an input at level n fires |n| spikes, a salient one at code c fires |c|",
        _spike_count_work,
    ),
    FIRST_SPIKE,
)
"""Every method, in the order of the tables."""
