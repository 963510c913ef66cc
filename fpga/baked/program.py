"""Program of a layer whose weights are in the bitstream: each tile of outputs has its own rows, and none is loaded."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from amaranth.lib import data

from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import weight_rows
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError
from spikequant.rtl.driver.layouts import pack, unpack, words_in
from spikequant.rtl.driver.packets import Words, operation_of
from spikequant.rtl.driver.program import LayerProgram, layer_program
from spikequant.rtl.shapes import Operation, RunHeader, WeightsHeader

MOVED: Mapping[Any, type[data.Struct]] = {Operation.WEIGHTS: WeightsHeader, Operation.RUN: RunHeader}
"""Packets with addresses of weights, and their headers."""


def placed_program(spec: Spec, vectors: LayerVectors) -> LayerProgram:
    """The program of ``layer_program`` in blocks, with separate rows of the synapse memory for each tile of outputs.

    Raises:
        InputError: the synapse memory does not hold all of the layer's weights.
    """
    rows = weight_rows(spec, inputs=vectors.inputs, wide=vectors.wide.size)
    tiles = -(-vectors.outputs // spec.neurons)
    if tiles * rows > spec.depth:
        raise InputError(
            f"layer: its {tiles} tiles of outputs have {tiles * rows} rows of weights, expected at most {spec.depth}"
        )
    program = layer_program(spec, vectors, blocks=True)
    packets = []
    tile = -1
    for packet in program.packets:
        operation = Operation(operation_of(packet))
        if operation is Operation.NEURONS:
            tile = (tile + 1) % tiles
        packets.append(_moved(packet, MOVED[operation], by=tile * rows) if operation in MOVED else packet)
    return LayerProgram(packets=packets, places=program.places)


def _moved(packet: Words, layout: type[data.Struct], *, by: int) -> Words:
    words = words_in(layout)
    fields = unpack(layout, packet[:words].tolist())
    fields["input"] += by
    return np.concatenate([np.array(pack(layout, **fields), np.uint32), packet[words:]])


def baked_program(spec: Spec, vectors: LayerVectors) -> LayerProgram:
    """The program of ``placed_program`` without loading weights.

    Raises:
        InputError: the synapse memory does not hold all of the layer's weights.
    """
    program = placed_program(spec, vectors)
    packets = [packet for packet in program.packets if Operation(operation_of(packet)) is not Operation.WEIGHTS]
    return LayerProgram(packets=packets, places=program.places)
