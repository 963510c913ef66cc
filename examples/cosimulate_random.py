"""Generate an accelerator, run random integers on its Verilog in Verilator, and compare every output.

Run it with ``python examples/cosimulate_random.py``; it needs g++, make and perl. The simulator is built once and kept.
"""

import tempfile
from pathlib import Path

from spikequant.cosim.layer import cosimulate
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import load_spec
from spikequant.rtl.manifest import write_generated


def main() -> None:
    """Write Verilog and manifest, then simulate a layer that is larger than the array."""
    spec = load_spec("tiny")
    with tempfile.TemporaryDirectory() as folder:
        manifest = write_generated(spec, Path(folder))
    print(f"Verilog: {spec.neurons} neurons x {spec.lanes} lanes, sha256 {manifest['verilog']['sha256'][:16]}")

    # 20 outputs and 100 inputs on 8 neurons with 64 rows: the driver cuts the layer into tiles.
    vectors = random_vectors(spec, outputs=20, inputs=100, tokens=4, wide=6, max_shift=4, seed=1)
    report = cosimulate(spec, vectors)
    print(f"{report.verdict.outputs} outputs, {report.verdict.mismatches} mismatches")
    print(f"{report.cycles} cycles, {report.spikes} spikes, lane utilisation {report.lane_utilisation:.3f}")
    if report.verdict.mismatches:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
