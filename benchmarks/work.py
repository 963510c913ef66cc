"""Cycles of both arrays for the layers of a real model, and lane utilisation."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise

from spikequant.benchmarks.shapes import ARRAYS, Array
from spikequant.benchmarks.twin.cycles import TWIN, twin_costs
from spikequant.golden.layer.score import PhaseCost
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.cycles.throughput import ARRAY_ONLY, SPIKING, Counted, Latencies, layer_cycles
from spikequant.rtl.cycles.token_cost import TokenCost, resident_costs

STAGES: Mapping[str, Counted] = {
    "array": ARRAY_ONLY,
    "drain": Counted(encoder=False, readout=False),
    "encoder": Counted(readout=False),
    "codes out": Counted(),
    "membranes out": Counted(membranes=True),
}
"""Pipeline stages that are counted, each with all previous ones.

``array``: phases, doublings, and codes that are fed twice. ``drain``: moving charges to the membranes. ``encoder``:
each token sorted, or packed, once for all tiles of outputs, as far as the buffers hold it. ``codes out``: the read-out,
and brief results. ``membranes out``: full results instead of brief ones.
"""

COUNTED = "codes out"
"""The stage whose cycles are compared: everything that a layer needs."""

LATENCIES: Mapping[Array, Latencies] = {"spiking": SPIKING, "mac": TWIN}


@dataclass(frozen=True)
class LaneUse:
    """Use of the lanes.

    Attributes:
        spikes: number of spikes.
        slots: lanes times beats with spikes.
    """

    spikes: int
    slots: int

    @property
    def share(self) -> float:
        """Spikes per slot; 0 without beats."""
        return self.spikes / self.slots if self.slots else 0.0

    def plus(self, other: "LaneUse") -> "LaneUse":
        """Sum of both."""
        return LaneUse(self.spikes + other.spikes, self.slots + other.slots)


@dataclass(frozen=True)
class LayerWork:
    """Cycles of one layer's tokens on both arrays of one shape.

    Attributes:
        name: of the layer; names of layers that run as one are joined by ``+``.
        layers: number of layers that run as one.
        inputs: K.
        outputs: N.
        tokens: T.
        cycles: of all its tokens and tiles of outputs, by array and stage.
        normal: lanes in the phase of normal levels, on all columns.
        all_phases: lanes in all phases, those on the low halves of wide columns included.
    """

    name: str
    layers: int
    inputs: int
    outputs: int
    tokens: int
    cycles: Mapping[Array, Mapping[str, int]]
    normal: LaneUse
    all_phases: LaneUse

    @property
    def operations(self) -> int:
        """Weight-ops of a dense product, silent inputs included."""
        return self.inputs * self.outputs * self.tokens


def _lane_use(spec: Spec, phases: Iterable[PhaseCost]) -> LaneUse:
    found = list(phases)
    return LaneUse(spikes=sum(phase.spikes for phase in found), slots=spec.lanes * sum(phase.beats for phase in found))


def layer_work(spec: Spec, name: str, vectors: LayerVectors, *, layers: int = 1) -> LayerWork:
    """Count the cycles of a layer, without loading weights and constants, which takes both arrays the same time.

    Args:
        spec: of both arrays.
        name: of the layer.
        vectors: the layer and its tokens.
        layers: number of layers that were fused into it.
    """
    tiles = [token_tiles(vectors, token, spec) for token in range(vectors.tokens)]
    output_tiles = -(-vectors.outputs // spec.neurons)
    costs: Mapping[Array, list[list[TokenCost]]] = {
        "spiking": resident_costs(spec, vectors, tiles),
        "mac": twin_costs(spec, vectors),
    }
    cycles = {
        array: {
            stage: layer_cycles(
                spec, costs[array], output_tiles=output_tiles, counted=counted, latencies=LATENCIES[array]
            )
            for stage, counted in STAGES.items()
        }
        for array in ARRAYS
    }
    normal = _lane_use(spec, (tile.cost.normal for parts in tiles for tile in parts if not tile.low))
    rest = _lane_use(
        spec,
        (
            phase
            for parts in tiles
            for tile in parts
            for phase in ((tile.cost.normal, tile.cost.salient) if tile.low else (tile.cost.salient,))
        ),
    )
    return LayerWork(
        name=name,
        layers=layers,
        inputs=vectors.inputs,
        outputs=vectors.outputs,
        tokens=vectors.tokens,
        cycles=cycles,
        normal=normal,
        all_phases=normal.plus(rest),
    )


@dataclass(frozen=True)
class Work:
    """Some layers together.

    Attributes:
        layers: how many.
        tokens: of each.
        operations: useful weight-ops.
        cycles: by array and stage.
        utilisation: of the lanes in the phase of normal levels, on all columns.
        utilisation_all: of the lanes in all phases.
    """

    layers: int
    tokens: int
    operations: int
    cycles: Mapping[Array, Mapping[str, int]]
    utilisation: float
    utilisation_all: float

    def ratio(self, stage: str) -> float:
        """The twin's cycles over the accelerator's: its effective throughput at the same clock."""
        return self.cycles["mac"][stage] / self.cycles["spiking"][stage]

    def operations_per_cycle(self, array: Array, stage: str = COUNTED) -> float:
        """Useful weight-ops a cycle."""
        return self.operations / self.cycles[array][stage]

    def cycles_per_token(self, array: Array, stage: str = COUNTED) -> float:
        """Cycles that one token takes in all of the layers."""
        return self.cycles[array][stage] / self.tokens

    def waits(self, array: Array) -> dict[str, float]:
        """Cycles that each stage adds, as a share of the array's own cycles."""
        stages = list(STAGES)
        own = self.cycles[array]["array"]
        return {
            stage: (self.cycles[array][stage] - self.cycles[array][before]) / own for before, stage in pairwise(stages)
        }


def together(layers: Iterable[LayerWork]) -> Work:
    """Sum over one or more layers of the same tokens."""
    found = list(layers)
    cycles = {
        array: {stage: sum(layer.cycles[array][stage] for layer in found) for stage in STAGES} for array in ARRAYS
    }
    return Work(
        layers=sum(layer.layers for layer in found),
        tokens=found[0].tokens,
        operations=sum(layer.operations for layer in found),
        cycles=cycles,
        utilisation=reduce(LaneUse.plus, (layer.normal for layer in found)).share,
        utilisation_all=reduce(LaneUse.plus, (layer.all_phases for layer in found)).share,
    )
