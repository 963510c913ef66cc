"""The time domain of the golden model: spikes into currents, currents into membranes, thresholds into codes.

Nothing here multiplies or divides. An input at level n fires once, n ticks before its phase ends; from
then on its weight is in the current, so the membrane gathers the weight n times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from golden.integer import Integers
from golden.spec import Spec
from golden.vectors import LayerVectors


@dataclass(frozen=True)
class Phase:
    """One phase of a token's event program: S spikes in time order.

    Attributes:
        salient: the levels are salient codes, before their shift.
        low: the weights are the low halves of the wide columns.
        ticks: length of the phase, the largest level magnitude in it.
        tick: int64 [S], ascending, when each spike arrives, in ``0..ticks - 1``; its level is ``ticks - tick``.
        row: int64 [S], the input that fires.
        sign: int64 [S], 1 where the weight is added and -1 where it is subtracted.
        shift: doublings of the membrane behind the phase.
    """

    salient: bool
    low: bool
    ticks: int
    tick: Integers
    row: Integers
    sign: Integers
    shift: int


@dataclass(frozen=True)
class Trace:
    """What M chosen neurons do in each of the ticks of a token.

    Attributes:
        neuron: int64 [M], the chosen neurons.
        phase: int64 [ticks], index of the phase in the program.
        current: int64 [ticks, M], sum of the weights ``u - weight_offset`` that are in, with their signs.
        charge: int64 [ticks, M], what the current has brought since the phase began.
        membrane: int64 [ticks, M], V behind the tick with its zero point put right; without the bias.
    """

    neuron: Integers
    phase: Integers
    current: Integers
    charge: Integers
    membrane: Integers


@dataclass(frozen=True)
class TokenRun:
    """A token's way through the array.

    Attributes:
        program: its phases.
        membrane: int64 [N], V' with the bias included.
        spikes: spikes of the inputs.
        ticks: ticks of all phases.
        trace: of the neurons asked for.
    """

    program: tuple[Phase, ...]
    membrane: Integers
    spikes: int
    ticks: int
    trace: Trace


@dataclass(frozen=True)
class FirstSpikes:
    """The ramp read-out's result.

    Attributes:
        tick: int32, same shape as the membrane: when each neuron fires, ``2**(B-1) - 1`` where it never does.
        code: int32, the ticks that were left, with the membrane's sign.
    """

    tick: NDArray[np.int32]
    code: NDArray[np.int32]


def event_program(vectors: LayerVectors, token: int, spec: Spec) -> tuple[Phase, ...]:
    """The phases of one token in the order of time; a phase without a spike is left out.

    Phases run from the largest shift to the smallest: salient codes stand for levels ``2**m`` times as
    large, whole weights of a layer with wide columns for ``2**weight_bits`` low halves. The membrane
    doubles between phases by as much as the shifts differ, so every spike gets its phase's shift.
    """
    level = vectors.level[token].astype(np.int64)
    salient = vectors.salient[token]
    salient_shift = int(vectors.shift[token])
    high_shift = spec.weight_bits if vectors.wide.size else 0
    every = np.arange(vectors.inputs, dtype=np.int64)
    wide = vectors.wide.astype(np.int64)
    planned = [
        (high_shift + salient_shift, True, False, every[salient]),
        (high_shift, False, False, every[~salient]),
        (salient_shift, True, True, wide[salient[wide]]),
        (0, False, True, wide[~salient[wide]]),
    ]
    planned = sorted(
        [(shift, is_salient, low, rows[level[rows] != 0]) for shift, is_salient, low, rows in planned],
        key=lambda plan: -plan[0],
    )
    planned = [plan for plan in planned if plan[3].size]
    phases = []
    for index, (shift, is_salient, low, rows) in enumerate(planned):
        # exact: a salient level is a multiple of its power of two
        fired = level[rows] >> (salient_shift if is_salient else 0)
        ticks = int(np.abs(fired).max())
        order = np.argsort(-np.abs(fired), kind="stable")
        phases.append(
            Phase(
                salient=is_salient,
                low=low,
                ticks=ticks,
                tick=ticks - np.abs(fired[order]),
                row=rows[order],
                sign=np.sign(fired[order]),
                shift=shift - (planned[index + 1][0] if index + 1 < len(planned) else 0),
            )
        )
    return tuple(phases)


def _zero_point(population: int, population_high: int, w_zero: Integers, spec: Spec) -> Integers:
    """What the membranes [N] lack: ``weight_offset`` times the population, less ``w_zero`` times its high part.

    Args:
        population: sum of all levels, shifted as the membrane is.
        population_high: the part of it that did not go with low halves, which have no zero point.
        w_zero: int64 [N].
        spec: of the weights; each of their bits is one conditional shifted addition.
    """
    lacking = np.full(w_zero.shape, population << (spec.weight_bits - 1), np.int64)
    for bit in range(spec.weight_bits):
        lacking -= np.where(w_zero >> bit & 1, population_high << bit, 0)
    return lacking


def simulate(vectors: LayerVectors, token: int, spec: Spec, *, neurons: Sequence[int] = ()) -> TokenRun:
    """Run one token spike by spike and tick by tick on neurons that only add.

    The array adds ``u - weight_offset``. Two shared accumulators are integrators like any neuron, of
    weight 1: the population of all spikes, and of those that go with whole weights or high halves. They
    put the zero points right without a product.

    Args:
        vectors: the layer.
        token: index of the token.
        spec: of the accelerator.
        neurons: the neurons to trace.
    """
    program = event_program(vectors, token, spec)
    chosen = np.array(neurons, np.int64)
    w_zero = vectors.w_zero.astype(np.int64)
    membrane = np.zeros(vectors.outputs, np.int64)
    population = population_high = 0
    traced: list[tuple[int, Integers, Integers, Integers]] = []
    for number, phase in enumerate(program):
        current = np.zeros_like(membrane)
        charge = np.zeros_like(membrane)
        population_current = 0
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
            membrane += current
            charge += current
            population += population_current
            population_high += 0 if phase.low else population_current
            if chosen.size:
                settled = membrane + _zero_point(population, population_high, w_zero, spec)
                traced.append((number, current[chosen], charge[chosen], settled[chosen]))
        membrane <<= phase.shift
        population <<= phase.shift
        population_high <<= phase.shift
    membrane += _zero_point(population, population_high, w_zero, spec)
    membrane += vectors.bias
    shape = (len(traced), chosen.size)
    return TokenRun(
        program=program,
        membrane=membrane,
        spikes=sum(phase.row.size for phase in program),
        ticks=sum(phase.ticks for phase in program),
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

    A neuron fires at the first tick at which the ramp is not above its excitation.

    Args:
        membrane: int64 [..., N], V'; ``|V'| * 2**F`` must fit 63 bits, which every spec's widths ensure.
        theta: uint32 [N], 1 or more.
        theta_fraction_bits: F.
        output_bits: B; the ramp takes ``2**(B-1) - 1`` ticks, so hardware limits it to 5.
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
    """Wide codes bit by bit: theta times each power of two, highest first, is subtracted where it still fits.

    An excitation beyond the largest code passes every comparison, which gives the largest code.

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
