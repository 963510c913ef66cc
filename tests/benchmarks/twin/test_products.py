"""Each form of a product on ECP5 primitives is proved equal to its portable form, for all inputs."""

import subprocess
from functools import partial
from pathlib import Path

import pytest

from spikequant.benchmarks.twin.products import Multiplier, ProductSums, chain_bits
from spikequant.benchmarks.twin.properties import PRODUCTS
from spikequant.fpga.toolchain import find_tool
from spikequant.rtl.fabric import CELL_MODELS
from support.equal_forms import proof, text_of


@pytest.mark.parametrize("name", PRODUCTS)
def test_sums_of_products_are_equal_in_both_forms(name: str, tmp_path: Path) -> None:
    text = text_of(partial(ProductSums, PRODUCTS[name]))
    assert "CCU2C" in text
    done = proof(text, tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


# two products; one inverted, and one not; the carry between two sums
@pytest.mark.parametrize(
    ("name", "table"), [("of one column", "7888"), ("with a carry between", "b444"), ("all inverted", "0004")]
)
def test_a_wrong_table_does_not_pass(name: str, table: str, tmp_path: Path) -> None:
    text = text_of(partial(ProductSums, PRODUCTS[name]))
    assert table in text
    done = proof(text.replace(table, table[:-1] + "0", 1), tmp_path)
    assert "proof did fail" in done.stdout + done.stderr


@pytest.mark.parametrize(("name", "bits"), [("with a carry", 1 + 3), ("without a carry out", 3 + 3)])
def test_length_of_a_chain(name: str, bits: int) -> None:
    assert chain_bits(PRODUCTS[name]) == bits


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("", ""),
        ('REG_PIPELINE_CLK("CLK0")', 'REG_PIPELINE_CLK("NONE")'),
        (".SIGNEDA(", ".SIGNEDA(1'd1 | "),
        ('GSR("DISABLED")', 'GSR("ENABLED")'),
    ],
)
def test_a_multiplier_block_is_its_twin(old: str, new: str, tmp_path: Path) -> None:
    text = text_of(Multiplier)
    assert "MULT18X18D" in text
    assert old in text
    models = (CELL_MODELS / "multiplier.v").read_text()
    (tmp_path / "both.v").write_text(models + text.replace(old, new, 1))
    # once equal registers are one, so are the multiplications, and nothing is left to differ
    script = [
        "read_verilog -sv -defer both.v",
        "hierarchy -check -top both",
        "proc",
        "flatten",
        "opt -full",
        "wreduce",
        "opt -share_all -full",
        "sat -verify -prove differs 0 both",
    ]
    command = [str(find_tool("yosys").path), "-q", "-p", "; ".join(script)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode == 0) == (not old), done.stdout + done.stderr
