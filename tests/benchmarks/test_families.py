"""Cells by device family, and a synthesis for the one without lookup-table RAM."""

from pathlib import Path

import pytest

from spikequant.benchmarks.families import FAMILIES, count_cells, find_families
from spikequant.cosim.yosys import run_yosys
from spikequant.fpga.toolchain import find_tool
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.rtl.verilog import TOP, generate_verilog

CELLS = {
    "ecp5": {"CCU2C": 1, "DP16KD": 2, "PDPW16KD": 3, "LUT4": 4, "PFUMX": 9, "TRELLIS_DPR16X4": 5, "TRELLIS_FF": 6},
    "nexus": {"CCU2": 1, "PDP16K": 2, "PDPSC16K": 3, "LUT4": 4, "WIDEFN9": 9, "DPR16X4": 5, "FD1P3IX": 6},
    "gowin": {"ALU": 1, "SDPX9B": 2, "DPB": 3, "LUT1": 1, "LUT4": 3, "MUX2_LUT5": 9, "RAM16SDP4": 5, "DFFSE": 6},
    "ice40": {"SB_CARRY": 1, "SB_RAM40_4K": 2, "SB_RAM40_4KNR": 3, "SB_LUT4": 4, "SB_DFFSR": 5, "SB_DFF": 1},
    "xilinx": {"CARRY4": 1, "RAMB18E1": 2, "RAMB36E1": 3, "LUT6": 4, "MUXF7": 9, "RAM32M": 5, "FDRE": 4, "FDSE": 2},
}


@pytest.mark.parametrize("name", FAMILIES)
def test_cells_are_counted_by_what_they_are(name: str) -> None:
    found = count_cells(name, CELLS[name])
    assert (found.carries, found.block_rams, found.luts, found.ffs) == (1, 5, 4, 6)
    assert found.lut_rams == (0 if name == "ice40" else 5)


def test_an_unknown_family_is_refused() -> None:
    with pytest.raises(InputError, match="family 'ice41': unknown, expected one of ecp5, nexus"):
        find_families(["ecp5", "ice41"])


@pytest.mark.long
def test_memories_are_block_rams_without_lookup_table_rams(tmp_path: Path) -> None:
    """Three clusters build their small memories from lookup tables, which iCE40 does not have."""
    spec = Spec(neurons=24, clusters=3, lanes=2, depth=16, score_words=64)
    (tmp_path / f"{TOP}.v").write_text(generate_verilog(spec))
    synthesis = f"synth_ice40 -top {TOP} -run begin:map_ffram"
    script = f"read_verilog {TOP}.v\n{synthesis}\nselect -assert-min 8 t:SB_RAM40_4K*\n"
    run_yosys(str(find_tool("yosys").path), script, tmp_path)
