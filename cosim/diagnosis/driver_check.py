"""Comparison of the host's packets with the layer that they encode."""

from collections.abc import Iterator

import numpy as np

from spikequant.cosim.diagnosis.divergence import DRIVER, Divergence
from spikequant.golden.layer.integer import LayerOutput
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.packet_model import Completed, PacketModel, UnspecifiedError
from spikequant.rtl.driver.program import LayerProgram, ResultPlace
from spikequant.rtl.shapes import Half


def driver_divergence(
    spec: Spec, vectors: LayerVectors, golden: LayerOutput, program: LayerProgram
) -> Divergence | None:
    """Find the first result that the packets do not request correctly, and the packet with the error."""
    model = PacketModel(spec)
    places = iter(program.places)
    for packet in program.packets:
        try:
            completed = model.take(packet)
        except UnspecifiedError as error:
            return Divergence(DRIVER, 0, 0, None, str(error), "packet", "a valid one", "an invalid one")
        if completed is None:
            continue
        place = next(places, None)
        if place is None:
            return Divergence(DRIVER, 0, 0, None, "after the last result", "results", str(len(program.places)), "more")
        count = place.outputs.stop - place.outputs.start
        wrong = (completed.membrane[:count] != golden.membrane[place.token, place.outputs]) | (
            completed.code[:count] != golden.code[place.token, place.outputs]
        )
        if wrong.any():
            own = int(np.argmax(wrong))
            membrane = int(golden.membrane[place.token, place.outputs][own])
            return next(_wrong_packets(spec, vectors, completed, place=place, own=own, membrane=membrane))
    return None


def _wrong_packets(
    spec: Spec, vectors: LayerVectors, completed: Completed, *, place: ResultPlace, own: int, membrane: int
) -> Iterator[Divergence]:
    """Yield differences; the first one counts, as others may follow from it."""
    token, neuron = place.token, place.outputs.start + own

    def found(where: str, quantity: str, expected: object, got: object) -> Divergence:
        return Divergence(DRIVER, token, neuron, None, where, quantity, str(expected), str(got))

    tiles = token_tiles(vectors, token, spec)
    if len(tiles) != len(completed.runs):
        yield found(f"slot {completed.slot}", "RUN packets of the token", len(tiles), len(completed.runs))
    for number, (tile, run) in enumerate(zip(tiles, completed.runs, strict=True)):
        codes = f"packet {run.score.packet} (CODES), tile {number}"
        if len(run.score.level) < len(tile.columns):
            yield found(codes, "inputs", len(tile.columns), len(run.score.level))
        level = np.zeros(len(run.score.level), np.int64)
        level[: len(tile.columns)] = vectors.level[token, tile.columns]
        differs = np.flatnonzero(level != run.score.level)
        if differs.size:
            index = int(differs[0])
            column = int(tile.columns[index]) if index < len(tile.columns) else -1
            yield found(f"{codes}, input {column}", "level", level[index], run.score.level[index])
        stored = vectors.w_low if tile.low else vectors.w_code
        columns = np.searchsorted(vectors.wide, tile.columns) if tile.low else tile.columns
        weights = np.where(level[: len(columns)] != 0, stored[neuron, columns].astype(np.int64), 0)
        differs = np.flatnonzero(weights != run.weights[: len(columns), own])
        if differs.size:
            index = int(differs[0])
            where = f"packet {run.packet} (RUN), tile {number}, input {tile.columns[index]}"
            yield found(where, "stored weight", weights[index], run.weights[index, own])
        half = Half.LOW if tile.low else Half.HIGH if vectors.wide.size else Half.WHOLE
        for name, expected, got in (
            ("half of the weights", str(half), str(Half(run.header.half))),
            ("shift", str(vectors.shift[token]), str(run.header.shift)),
            ("shift", str(vectors.shift[token]), str(run.score.header.shift)),
            ("first", str(int(number == 0)), str(run.header.first)),
        ):
            if expected != got:
                yield found(f"packet {run.packet} (RUN), tile {number}", name, expected, got)
    for name, expected, got in (
        ("weight zero point", vectors.w_zero[neuron], completed.zero[own]),
        ("theta", vectors.theta[neuron], completed.theta[own]),
        ("bias", vectors.bias[neuron], completed.bias[own]),
    ):
        if int(expected) != int(got):
            yield found("a NEURONS packet", name, expected, got)
    yield found(f"packets up to {completed.runs[-1].packet}", "V'", membrane, completed.membrane[own])
