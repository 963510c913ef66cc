"""Faults in the driver's packets are divergences, too."""

from dataclasses import replace
from typing import Any

import pytest

import spikequant.rtl.driver.program
from spikequant.cosim.diagnosis.divergence import DRIVER
from spikequant.cosim.diagnosis.driver_check import driver_divergence
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS
from spikequant.rtl.driver.packets import TokenTile, Words, codes_packet


def test_a_driver_that_leaves_inputs_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = PRESETS["tiny"]
    layer = random_vectors(spec, outputs=8, inputs=12, wide=0, tokens=2, seed=1)

    def shortened(tile: TokenTile, **place: Any) -> Words:
        return codes_packet(replace(tile, value=tile.value[:-4], salient=tile.salient[:-4]), **place)

    monkeypatch.setattr(spikequant.rtl.driver.program, "codes_packet", shortened)
    program = spikequant.rtl.driver.program.layer_program(spec, layer)
    found = driver_divergence(spec, layer, run_layer(layer, spec), program)
    assert found is not None
    assert (found.stage, found.quantity, found.expected, found.got) == (DRIVER, "inputs", "12", "8")
    assert "(CODES), tile 0" in found.where
