"""Sweep lanes against cycles with the cycle model; nothing is simulated.

Run it with ``python examples/sweep_lanes.py``.
"""

from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.rtl.cycles.throughput import ARRAY_ONLY, SPIKING, Counted, layer_cycles
from spikequant.rtl.cycles.token_cost import resident_costs

LANES = (1, 2, 4, 8)
OUTPUTS, INPUTS, TOKENS = 256, 576, 8


def cycles(spec: Spec, counted: Counted) -> int:
    """Clock cycles of one layer with 8 tokens, without loading weights.

    Args:
        spec: the accelerator.
        counted: which limits beyond the array are counted.
    """
    vectors = random_vectors(
        spec, outputs=OUTPUTS, inputs=INPUTS, tokens=TOKENS, salient_fraction=0.025, max_shift=3, extremes=False, seed=1
    )
    tiles = [token_tiles(vectors, token, spec) for token in range(TOKENS)]
    return layer_cycles(
        spec,
        resident_costs(spec, vectors, tiles),
        output_tiles=-(-OUTPUTS // spec.neurons),
        counted=counted,
        latencies=SPIKING,
    )


def main() -> None:
    """Print a table of lanes, cycles of the array alone, cycles of the accelerator, and useful weight-ops a cycle."""
    print("lanes  array cycles  all cycles  weight-ops/cycle")
    for lanes in LANES:
        spec = Spec(neurons=64, lanes=lanes, depth=2040)
        array, everything = cycles(spec, ARRAY_ONLY), cycles(spec, Counted())
        print(f"{lanes:5}  {array:12}  {everything:10}  {OUTPUTS * INPUTS * TOKENS / everything:16.1f}")


if __name__ == "__main__":
    main()
