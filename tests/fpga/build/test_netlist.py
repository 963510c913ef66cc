"""The bench's layers on netlists of ECP5 cells, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from spikequant.cosim.layer import cosimulate
from spikequant.fpga.build.netlist import Stage, netlist_sources
from spikequant.fpga.build.routed import spell_out
from spikequant.fpga.toolchain import ToolError
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.rtl.verilog import TOP

SMALLEST = Spec(
    neurons=8,
    lanes=2,
    depth=8,
    activation_bits=2,
    salient_bits=2,
    max_salient_shift=1,
    membrane_bits=16,
    membrane_slots=2,
    theta_fraction_bits=2,
    output_bits=3,
    ramp=4,
    score_words=16,
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("stage", ["synth", pytest.param("route", marks=pytest.mark.long)])
def test_a_layer_on_a_netlist_is_golden_in_as_many_cycles(cache: Path, stage: Stage) -> None:
    vectors = random_vectors(SMALLEST, outputs=11, inputs=13, tokens=8, wide=3, salient_fraction=0.2, seed=1)
    sources = netlist_sources(SMALLEST, stage, cache=cache)
    assert f"module {TOP}(" in sources[f"{TOP}.v"]
    cells = {"synth": ("LUT4", "CCU2C", "DP16KD"), "route": ("TRELLIS_COMB", "TRELLIS_RAMW", "PDPW16KD", "PAD_IN")}
    assert all(cell in sources[f"{TOP}.v"] for cell in cells[stage])
    generated = cosimulate(SMALLEST, vectors, cache=cache)
    report = cosimulate(SMALLEST, vectors, sources=sources, cache=cache)
    assert report.verdict.ok(allow_saturation=False), report.verdict.first
    assert (report.cycles, report.spikes, report.beats) == (generated.cycles, generated.spikes, generated.beats)


def routed(cell: dict[str, Any]) -> bytes:
    cell = {"parameters": {}, "connections": {}, "port_directions": {}} | cell
    return json.dumps({"modules": {"top": {"cells": {"it": cell}}}}).encode()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ({"type": "EHXPLLL"}, "EHXPLLL it: the cell is not modelled"),
        ({"type": "TRELLIS_COMB", "parameters": {"WREMUX": "INV"}}, "it: WREMUX is not modelled"),
        ({"type": "TRELLIS_FF", "parameters": {"CEMUX": "INV"}}, "it: an open CE is not modelled"),
        ({"type": "TRELLIS_FF", "parameters": {"CEMUX": "1 ", "LSRMUX": "INV"}}, "it: LSRMUX is not modelled"),
        ({"type": "TRELLIS_IO", "parameters": {"DIR": "BIDIR"}}, "it: DIR BIDIR is not modelled"),
        (
            {
                "type": "DP16KD",
                "parameters": {"CEAMUX": "INV", "DATA_WIDTH_A": "10010"},
                "connections": {"CEA": [5]},
                "port_directions": {"CEA": "input"},
            },
            "it: CEAMUX INV with a net is not modelled",
        ),
        (
            {"type": "DP16KD", "parameters": {"DATA_WIDTH_A": "100100", "WRITEMODE_A": "NORMAL"}},
            "it: WRITEMODE_A is not modelled",
        ),
    ],
)
def test_what_no_model_knows_is_refused(cell: dict[str, Any], message: str) -> None:
    with pytest.raises(ToolError, match=f"^routed netlist, {cell['type']} {message.removeprefix(cell['type'] + ' ')}$"):
        spell_out(routed(cell))


def spelled(**cell: Any) -> dict[str, Any]:
    return json.loads(spell_out(routed(cell)))["modules"]["top"]["cells"]["it"]


def test_open_pins_get_the_fabrics_values() -> None:
    table = spelled(type="TRELLIS_COMB", parameters={"INITVAL": "1"}, connections={"A": [7], "B": []})
    assert table["connections"] == {"A": [7], "B": ["1"], "C": ["1"], "D": ["1"]}
    register = spelled(type="TRELLIS_FF", parameters={"SD": "0 ", "CEMUX": "1 "}, connections={"M": [3], "DI": []})
    assert register["connections"] == {"DI": [3], "LSR": ["0"], "CE": ["1"]}
    block = spelled(
        type="DP16KD",
        parameters={"DATA_WIDTH_A": "100100", "CSA0MUX": "INV", "ADA0MUX": "1 ", "CEBMUX": "CEB"},
        port_directions=dict.fromkeys(("CSA0", "ADA0", "CEB", "DIB1", "DOA2"), "input") | {"DOA2": "output"},
        connections={"DIB1": [4], "DOA2": [5]},
    )
    assert block["type"] == "PDPW16KD"
    assert block["connections"] == {"CSW0": ["0"], "BE0": ["1"], "CER": ["1"], "DI19": [4], "DO20": [5]}
