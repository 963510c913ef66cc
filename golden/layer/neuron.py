"""The time domain of the golden model: spikes into currents, currents into membranes, thresholds into codes.

Nothing here multiplies or divides. An input fires n ticks before its phase ends. From then on its weight is part of
the current, so the charge gathers the weight n times. The top of the ramp bounds n: a larger level fires a burst at the
top and one more spike for the rest.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.integer import Integers
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import Tile, token_tiles
from spikequant.golden.layer.vectors import LayerVectors


@dataclass(frozen=True)
class Phase:
    """One phase of a token's event program: S spikes in time order.

    Attributes:
        salient: the levels are salient codes, before their shift.
        low: the weights are the low halves of the wide columns.
        ticks: length of the phase, the highest level that fires in it, at most the top of the ramp.
        tick: int64 [S], ascending, arrival of each spike, in ``0..ticks - 1``; it counts ``ticks - tick`` times.
        row: int64 [S], the input that fires.
        sign: int64 [S], 1 where the weight is added and -1 where it is subtracted.
        shift: power of two on its charge in the membrane.
        merged: the charge is doubled in place, and the next phase of the tile adds to it; otherwise the charge is
            shifted and added to the membrane.
    """

    salient: bool
    low: bool
    ticks: int
    tick: Integers
    row: Integers
    sign: Integers
    shift: int
    merged: bool = False


@dataclass(frozen=True)
class Trace:
    """State of M chosen neurons at each tick of a token.

    Attributes:
        neuron: int64 [M], the chosen neurons.
        phase: int64 [ticks], index of the phase in the program.
        current: int64 [ticks, M], sum of the signed weights ``u - weight_offset`` of the spikes so far.
        charge: int64 [ticks, M], sum of the current since the phase began.
        membrane: int64 [ticks, M], V after the tick, with the phase's charge, corrected for the zero point and shifted;
            without the bias.
    """

    neuron: Integers
    phase: Integers
    current: Integers
    charge: Integers
    membrane: Integers


@dataclass(frozen=True)
class TokenRun:
    """Result of one token in the array.

    Attributes:
        program: the phases.
        membrane: int64 [N], V' with the bias included.
        spikes: number of spikes, including each one of a burst.
        ticks: ticks of all phases.
        cycles: cycles of the array, each with spikes, a tick or a doubling.
        trace: state of the traced neurons.
    """

    program: tuple[Phase, ...]
    membrane: Integers
    spikes: int
    ticks: int
    cycles: int
    trace: Trace


@dataclass(frozen=True)
class FirstSpikes:
    """Result of the ramp read-out.

    Attributes:
        tick: int32, shape of the membrane, tick at which each neuron fires; ``2**(B-1) - 1`` if it never does.
        code: int32, ticks that remain, with the sign of the membrane.
    """

    tick: NDArray[np.int32]
    code: NDArray[np.int32]


def _tile_program(vectors: LayerVectors, token: int, spec: Spec, tile: Tile) -> list[Phase]:
    """The phases of one tile that have spikes."""
    level = vectors.level[token, tile.columns].astype(np.int64)
    high_shift = 0 if tile.low or not vectors.wide.size else spec.weight_bits
    salient_shift = int(vectors.shift[token])
    # without a shift, salient levels run with the normal ones
    apart = vectors.salient[token, tile.columns] & (salient_shift > 0)
    phases = []
    for here, shift in ((apart, salient_shift), (~apart, 0)):
        # exact: a salient level is a multiple of its power of two
        magnitude = np.abs(level[here]) >> shift
        burst = magnitude >> (spec.ramp.bit_length() - 1)
        rest = magnitude & (spec.ramp - 1)
        single = np.flatnonzero(rest)
        spike = np.concatenate([np.repeat(np.arange(magnitude.size), burst), single])
        if not spike.size:
            continue
        count = np.concatenate([np.full(spike.size - single.size, spec.ramp, np.int64), rest[single]])
        ticks = int(count.max())
        order = np.argsort(-count, kind="stable")
        phases.append(
            Phase(
                salient=shift > 0,
                low=tile.low,
                ticks=ticks,
                tick=ticks - count[order],
                row=tile.columns[here][spike[order]],
                sign=np.sign(level[here])[spike[order]],
                shift=high_shift + shift,
                merged=shift > 0 and tile.cost.merged,
            )
        )
    return phases


def event_program(vectors: LayerVectors, token: int, spec: Spec) -> tuple[Phase, ...]:
    """The phases of one token that have spikes, in time order.

    In each tile the salient levels run before the normal ones. A salient code stands for a level ``2**m`` times as
    large. With wide columns, one step of a whole weight stands for ``2**weight_bits`` steps of a low half.
    """
    tiles = token_tiles(vectors, token, spec)
    return tuple(phase for tile in tiles for phase in _tile_program(vectors, token, spec, tile))


def _settled(charge: Integers, population: int, zero: Integers, spec: Spec) -> Integers:
    """Charges [N] corrected for the zero point: plus ``weight_offset`` times the population, minus ``zero`` times it.

    Args:
        charge: int64 [N], from weights ``u - weight_offset``.
        population: the charge of a neuron whose weights are all 1.
        zero: int64 [N]; each of its bits is one conditional shifted addition.
        spec: the accelerator.
    """
    settled = charge.copy()
    settled += population << (spec.weight_bits - 1)
    for bit in range(spec.weight_bits):
        settled -= np.where(zero >> bit & 1, population << bit, 0)
    return settled


def simulate(vectors: LayerVectors, token: int, spec: Spec, *, neurons: Sequence[int] = ()) -> TokenRun:
    """Run one token spike by spike and tick by tick on neurons that only add.

    The array adds ``u - weight_offset``. One more integrator, shared by all neurons, has the weight 1: its charge, the
    population, corrects the zero points without a product.

    Args:
        vectors: the layer.
        token: index of the token.
        spec: the accelerator.
        neurons: the neurons to trace.
    """
    tiles = token_tiles(vectors, token, spec)
    program = event_program(vectors, token, spec)
    chosen = np.array(neurons, np.int64)
    w_zero = vectors.w_zero.astype(np.int64)
    no_zero = np.zeros_like(w_zero)
    membrane = np.zeros(vectors.outputs, np.int64)
    traced: list[tuple[int, Integers, Integers, Integers]] = []
    for number, phase in enumerate(program):
        current = np.zeros_like(membrane)
        charge = np.zeros_like(membrane)
        population = population_current = 0
        zero = no_zero if phase.low else w_zero
        column = np.searchsorted(vectors.wide, phase.row) if phase.low else phase.row
        stored = vectors.w_low if phase.low else vectors.w_code
        spikes = zip(phase.tick.tolist(), column.tolist(), phase.sign.tolist(), strict=True)
        spike = next(spikes, None)
        for tick in range(phase.ticks):
            while spike is not None and spike[0] == tick:
                weight = stored[:, spike[1]].astype(np.int64) - spec.weight_offset
                if spike[2] > 0:
                    current += weight
                    population_current += 1
                else:
                    current -= weight
                    population_current -= 1
                spike = next(spikes, None)
            charge += current
            population += population_current
            if chosen.size:
                settled = _settled(charge, population, zero, spec) << phase.shift
                traced.append((number, current[chosen], charge[chosen], (membrane + settled)[chosen]))
        membrane += _settled(charge, population, zero, spec) << phase.shift
    membrane += vectors.bias
    shape = (len(traced), chosen.size)
    return TokenRun(
        program=program,
        membrane=membrane,
        spikes=sum(phase.row.size for phase in program),
        ticks=sum(phase.ticks for phase in program),
        cycles=sum(tile.cost.cycles for tile in tiles),
        trace=Trace(
            neuron=chosen,
            phase=np.array([number for number, _, _, _ in traced], np.int64),
            current=np.array([current for _, current, _, _ in traced], np.int64).reshape(shape),
            charge=np.array([charge for _, _, charge, _ in traced], np.int64).reshape(shape),
            membrane=np.array([settled for _, _, _, settled in traced], np.int64).reshape(shape),
        ),
    )


def _excitation(membrane: Integers, theta: Integers, theta_fraction_bits: int) -> Integers:
    """``|V'| * 2**F + theta // 2``: the half threshold makes the comparisons round."""
    return (np.abs(membrane) << theta_fraction_bits) + (theta >> 1)


def ramp_readout(
    membrane: Integers, theta: NDArray[np.uint32], *, theta_fraction_bits: int, output_bits: int
) -> FirstSpikes:
    """Codes as first-spike times: a ramp descends from the largest code's multiple of theta, by theta each tick.

    A neuron fires at the first tick at which the ramp is at or below its excitation.

    Args:
        membrane: int64 [..., N], V'; ``|V'| * 2**F`` must fit 63 bits, which every spec's widths ensure.
        theta: uint32 [N], 1 or more.
        theta_fraction_bits: F.
        output_bits: B; the ramp takes ``2**(B-1) - 1`` ticks, so hardware limits B to 5.
    """
    step = theta.astype(np.int64)
    excitation = _excitation(membrane, step, theta_fraction_bits)
    length = (1 << (output_bits - 1)) - 1
    ramp = (step << (output_bits - 1)) - step
    spike = np.full(membrane.shape, length, np.int32)
    for tick in range(length):
        spike[(spike == length) & (excitation >= ramp)] = tick
        ramp = ramp - step
    left = (length - spike).astype(np.int32)
    return FirstSpikes(tick=spike, code=np.where(membrane < 0, -left, left))


def halving_readout(
    membrane: Integers, theta: NDArray[np.uint32], *, theta_fraction_bits: int, output_bits: int
) -> NDArray[np.int32]:
    """Wide codes bit by bit: theta times each power of two, highest first, is subtracted if it fits.

    An excitation above the range passes every comparison and thus yields the largest code.

    Args:
        membrane: int64 [..., N], V'; ``|V'| * 2**F`` must fit 63 bits, which every spec's widths ensure.
        theta: uint32 [N], 1 or more.
        theta_fraction_bits: F.
        output_bits: B; the bits of the magnitude are ``B - 1`` steps.
    """
    step = theta.astype(np.int64)
    rest = _excitation(membrane, step, theta_fraction_bits)
    magnitude = np.zeros(membrane.shape, np.int32)
    for bit in reversed(range(output_bits - 1)):
        threshold = step << bit
        fires = rest >= threshold
        rest = np.where(fires, rest - threshold, rest)
        magnitude |= fires.astype(np.int32) << bit
    return np.where(membrane < 0, -magnitude, magnitude)
