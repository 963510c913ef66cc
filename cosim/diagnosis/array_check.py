"""Comparison of the array's activity with the golden model's time domain, tick by tick."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from spikequant.cosim.diagnosis.divergence import ENCODER, INTEGRATOR, NEURON, SUMS, Divergence
from spikequant.cosim.diagnosis.trace_probe import Records
from spikequant.golden.layer.neuron import TokenRun, simulate
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import Tile, token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.shapes import step_layout


@dataclass(frozen=True)
class _Tick:
    """A tick of the golden model or of the replay.

    Attributes:
        spikes: columns and signs of the spikes since the previous tick.
        current: current in the tick.
        charge: charge after the tick.
        cycle: clock cycle of the replay; -1 in the golden model.
    """

    spikes: Counter[tuple[int, int]]
    current: int
    charge: int
    cycle: int = -1


@dataclass(frozen=True)
class _Span:
    """The ticks of a phase of the array, and the membrane after the last one."""

    name: str
    ticks: list[_Tick]
    membrane: int


def _golden_ticks(run: TokenRun, number: int, base: int) -> list[_Tick]:
    phase = run.program[number]
    rows = np.flatnonzero(run.trace.phase == number)
    arrivals = [Counter[tuple[int, int]]() for _ in range(phase.ticks)]
    for tick, row, sign in zip(phase.tick.tolist(), phase.row.tolist(), phase.sign.tolist(), strict=True):
        arrivals[tick][row, sign] += 1
    return [
        _Tick(arrivals[tick], int(run.trace.current[row, 0]), base + int(run.trace.charge[row, 0]))
        for tick, row in enumerate(rows.tolist())
    ]


def expected_spans(spec: Spec, vectors: LayerVectors, neuron: int) -> list[_Span]:
    """Return the phases of one token on the array, for one neuron, by the golden model."""
    run = simulate(vectors, 0, spec, neurons=[neuron])
    spans: list[_Span] = []
    membrane, number = 0, 0

    def take(base: int = 0) -> tuple[list[_Tick], int]:
        nonlocal number, membrane
        ticks = _golden_ticks(run, number, base)
        membrane = int(run.trace.membrane[run.trace.phase == number][-1, 0])
        number += 1
        return ticks, ticks[-1].charge

    for index, tile in enumerate(token_tiles(vectors, 0, spec)):
        cost = tile.cost
        ticks: list[_Tick] = []
        base = 0
        name = f"tile {index}{' of low halves' if tile.low else ''}"
        if cost.salient.spikes:
            ticks, base = take()
            if cost.merged:
                base <<= int(vectors.shift[0])
            else:
                spans.append(_Span(f"{name}, salient phase", ticks, membrane))
                ticks, base = [], 0
        if cost.normal.spikes:
            ticks = ticks + take(base)[0]
        spans.append(_Span(f"{name}, {'merged' if cost.merged else 'normal'} phase", ticks, membrane))
    return spans


def _flags(step: int) -> dict[str, bool]:
    return {name: bool(step >> field.offset & 1) for name, field in step_layout()}


def _columns(spec: Spec, tile: Tile, first_input: int, records: Records, place: int) -> Counter[tuple[int, int]]:
    """Return the inputs that fire in a cycle, as columns of the layer with signs."""
    lane_bits, within = spec.lanes.bit_length() - 1, spec.pair_lanes - 1
    spikes: Counter[tuple[int, int]] = Counter()
    for lane in range(spec.lanes):
        if records.fire[place, lane]:
            row = int(records.row[place, lane]) - 1
            pair = lane // spec.pair_lanes
            index = ((row >> within) << lane_bits | pair << within | (row & within)) - first_input
            column = int(tile.columns[index]) if 0 <= index < len(tile.columns) else -1 - index
            spikes[column, -1 if records.sign[place, lane] else 1] += 1
    return spikes


def recorded_spans(
    spec: Spec, vectors: LayerVectors, first_inputs: Sequence[int], records: Records
) -> list[tuple[list[_Tick], int]]:
    """Return the ticks of each phase of the array, and the index of the record in which the phase ends.

    Args:
        spec: the accelerator.
        vectors: a layer with one token.
        first_inputs: first weight row of each tile.
        records: records of the neuron.
    """
    tiles = token_tiles(vectors, 0, spec)
    of_phase = [
        index
        for index, tile in enumerate(tiles)
        for _ in range(2 if tile.cost.salient.spikes and not tile.cost.merged else 1)
    ]
    issued = np.flatnonzero(records.issued)
    made = np.flatnonzero(records.step)
    spans: list[tuple[list[_Tick], int]] = []
    ticks: list[_Tick] = []
    spikes: Counter[tuple[int, int]] = Counter()
    for sent, here in zip(issued.tolist(), made.tolist(), strict=False):
        flags = _flags(int(records.step[here]))
        index = of_phase[min(len(spans), len(of_phase) - 1)]
        if flags["keep_charge"] and not flags["double"]:
            after = min(here + 1, len(records.cycle) - 1)
            current = int(records.current[here])
            # a finished charge is cleared before the next record
            charge = int(records.charge[here]) + current if flags["finish"] else int(records.charge[after])
            ticks.append(_Tick(spikes, current, charge, int(records.cycle[here])))
            spikes = Counter()
        # spikes of the cycle of a tick come after it
        spikes = spikes + _columns(spec, tiles[index], first_inputs[index], records, sent)
        if flags["finish"]:
            spans.append((ticks, here))
            ticks = []
    return spans


def array_divergence(
    spec: Spec, vectors: LayerVectors, neuron: int, first_inputs: Sequence[int], records: Records
) -> Divergence | None:
    """Find the first tick or membrane that differs from the golden model; token and neuron are the replay's."""
    expected = expected_spans(spec, vectors, neuron)
    recorded = recorded_spans(spec, vectors, first_inputs, records)
    stored = [int(value) for value, slot in zip(records.membrane, records.stored, strict=True) if slot >= 0]
    stored_at = [int(cycle) for cycle, slot in zip(records.cycle, records.stored, strict=True) if slot >= 0]
    tick = 0
    for number, span in enumerate(expected):
        if number >= len(recorded):
            return Divergence(
                ENCODER, 0, neuron, tick, span.name, "phases", str(len(expected)), str(len(recorded)), None
            )
        ticks, end = recorded[number]
        for want, got in zip(span.ticks, ticks, strict=False):
            for stage, quantity, expects, gets in (
                (ENCODER, "spikes (input, sign)", _listed(want.spikes), _listed(got.spikes)),
                (SUMS, "current", str(want.current), str(got.current)),
                (INTEGRATOR, "charge", str(want.charge), str(got.charge)),
            ):
                if expects != gets:
                    return Divergence(stage, 0, neuron, tick, span.name, quantity, expects, gets, got.cycle)
            tick += 1
        # a phase may end with a tick without effect
        rest = ticks[len(span.ticks) :]
        if len(ticks) < len(span.ticks) or any(one.spikes or one.current for one in rest):
            cycle = ticks[-1].cycle if ticks else int(records.cycle[end])
            return Divergence(
                ENCODER, 0, neuron, tick, span.name, "ticks", str(len(span.ticks)), str(len(ticks)), cycle
            )
        got_membrane = stored[number] if number < len(stored) else None
        if got_membrane != span.membrane:
            cycle = stored_at[number] if number < len(stored) else int(records.cycle[end])
            where = f"after {span.name}"
            return Divergence(
                NEURON, 0, neuron, max(tick - 1, 0), where, "membrane", str(span.membrane), str(got_membrane), cycle
            )
    return None


def _listed(spikes: Counter[tuple[int, int]]) -> str:
    """Format spikes: input, sign, and number if more than one."""
    parts = (
        f"{column}{'+' if sign > 0 else '-'}{f' x{count}' if count > 1 else ''}"
        for (column, sign), count in sorted(spikes.items())
    )
    return ", ".join(parts) or "none"
