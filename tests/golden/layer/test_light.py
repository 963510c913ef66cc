"""The integers of the golden model load neither torch nor a simulator."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["spec", "vectors", "integer", "neuron", "random_layers"])
def test_the_integers_are_light(module: str) -> None:
    program = (
        f"import sys, spikequant.golden.layer.{module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "spikequant" in loaded
    assert not loaded & {"torch", "transformers", "amaranth", "cocotb", "matplotlib"}
