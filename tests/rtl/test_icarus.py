"""The generated Verilog in Icarus Verilog: four-valued, with every register and memory unknown at power-up."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest

from spikequant.cosim.random.programs import random_program
from spikequant.cosim.random.verify import expected_results, first_error
from spikequant.cosim.simulator.build import BURST_SOURCE
from spikequant.cosim.simulator.burst import BURST_IN, BURST_OUT, burst_bytes, recorded_packets
from spikequant.golden.layer.spec import PRESETS
from spikequant.rtl.tidy import STARTS
from spikequant.rtl.verilog import TOP, generate_verilog
from support.generated import needs_icarus

SPEC = PRESETS["tiny"]

BENCH = """\
`timescale 1ns / 1ps
module bench;
  burst burst ();
  initial begin
    burst.results = {results};
    burst.idle_cycles = 20000;
    burst.pause_in = 60;
    burst.pause_out = 60;
    burst.go = 1;
    wait (burst.done);
    $finish;
  end
  always @(posedge burst.clk)
    if (!burst.rst && (^{{burst.s_ready, burst.m_valid}} === 1'bx
        || (burst.m_valid && ^{{burst.m_data, burst.m_last}} === 1'bx))) begin
      $display("unknown output at %t", $time);
      $finish;
    end
endmodule
"""

pytestmark = needs_icarus


def unknown_at_power_up(verilog: str) -> str:
    """The design without initial values of registers; Yosys's constant that starts processes keeps its own."""
    return re.sub(rf"^(  reg (?!{STARTS}).*?) = \d+'[hd][0-9a-f]+;$", r"\1;", verilog, flags=re.MULTILINE)


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    """Play a random program on a design; the result is what is wrong, or nothing."""

    def run(verilog: str) -> str:
        folder: Path = tmp_path_factory.mktemp("icarus")
        packets = random_program(SPEC, Random(1), steps=25)
        expected = expected_results(SPEC, packets)
        (folder / BURST_IN).write_bytes(burst_bytes(packets))
        (folder / "bench.v").write_text(BENCH.format(results=len(expected)))
        (folder / f"{TOP}.v").write_text(verilog)
        files = ["bench.v", f"{TOP}.v", str(BURST_SOURCE)]
        for command in (["iverilog", "-g2005", "-s", "bench", "-o", "bench.vvp", *files], ["vvp", "-n", "bench.vvp"]):
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, timeout=300)
            assert done.returncode == 0, done.stderr
        if done.stdout:
            return done.stdout
        return first_error(SPEC, expected, recorded_packets((folder / BURST_OUT).read_bytes()))

    return run


def test_a_reset_is_all_that_it_needs(play: Callable[[str], str]) -> None:
    verilog = unknown_at_power_up(generate_verilog(SPEC))
    assert not re.search(r"^  reg .* = \d+'h", verilog, re.MULTILINE)
    assert play(verilog) == ""


def test_the_row_of_zeros_is_the_only_content_that_matters(play: Callable[[str], str]) -> None:
    verilog = generate_verilog(SPEC)
    contents = re.findall(r"^    (\S+\[\d+\]) = .*;$", verilog, re.MULTILINE)
    assert contents == ["rows[0]"]
    without = re.sub(r"^    rows\[0\] = .*;\n", "", verilog, flags=re.MULTILINE)
    assert play(without) != ""
