"""The model of the block RAM does what Yosys makes of it, whose use of its pins runs on real devices."""

import re
import subprocess
from pathlib import Path

import pytest

from spikequant.cosim.formal.prove import find_tools
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.cosim.yosys import run_yosys
from spikequant.rtl.fabric import CELL_MODELS

WIDTHS = {4: 12, 9: 11, 18: 10, 36: 9}
"""Bits of a row, and of its number."""

CYCLES = 20_000

MEMORY = """
module memory_{bits}(
    input clk, input write, input read_a, input read_b, input [3:0] bytes,
    input [{top}:0] a, b, input [{last}:0] written, output reg [{last}:0] first, output reg [{last}:0] second
);
    initial first = 0;
    initial second = 0;
    reg [{last}:0] rows [0:{rows} - 1];
    integer i;
    initial for (i = 0; i < {rows}; i = i + 1) rows[i] = {start};
    always @(posedge clk) begin
        if (read_a) begin
            if (write) begin
                {store}
            end {read}
        end
        if (read_b) second <= rows[b];
    end
endmodule
"""

BYTES = "if (bytes[{0}]) rows[a][{1}:{2}] <= written[{1}:{2}];"

CASE = """
    wire [{last}:0] first_{bits}, second_{bits}, mapped_first_{bits}, mapped_second_{bits};
    // a row that is written is not read at the same time, nor in the next cycle, to which Yosys puts the write
    reg [{top}:0] last_{bits} = 0;
    always @(posedge clock) last_{bits} <= noise[{top}:0];
    wire read_a_{bits} = noise[33] & (noise[32] | noise[{top}:0] != last_{bits});
    wire read_b_{bits} = noise[34] & noise[{top} + 14:14] != noise[{top}:0] & noise[{top} + 14:14] != last_{bits};
    memory_{bits} memory_{bits}(clock, noise[32], read_a_{bits}, read_b_{bits}, noise[38:35],
        noise[{top}:0], noise[{top} + 14:14], {{noise[63:46], noise[62:45]}}, first_{bits}, second_{bits});
    mapped_{bits} mapped_{bits}(clock, noise[32], read_a_{bits}, read_b_{bits}, noise[38:35],
        noise[{top}:0], noise[{top} + 14:14], {{noise[63:46], noise[62:45]}},
        mapped_first_{bits}, mapped_second_{bits});
    always @(posedge clock) begin
        differed[{place}] <= differed[{place}] | first_{bits} != mapped_first_{bits}
            | second_{bits} != mapped_second_{bits};
        seen[{place}] <= seen[{place}] | |second_{bits};
    end
"""

DRIVER = """
module driver;
    reg clock = 0;
    reg [63:0] noise = 0;
    reg [{count} - 1:0] differed = 0, seen = 0;
    integer cycle = 0;
    {cases}
    initial begin
        for (cycle = 0; cycle < {cycles}; cycle = cycle + 1) begin
            #1 clock = 0;
            // few rows, at either end, so that what is written is read
            noise = {{$urandom, $urandom}};
            noise[10:3] = {{8{{noise[11]}}}};
            noise[13:11] = {{3{{noise[11]}}}};
            noise[24:17] = {{8{{noise[25]}}}};
            noise[27:25] = {{3{{noise[25]}}}};
            #1 clock = 1;
        end
        $display("differed %b seen %b", differed, seen);
        $finish;
    end
endmodule
"""


def mapped(folder: Path, bits: int) -> str:
    """A memory of ``MEMORY`` on the block RAM, as Yosys maps it."""
    # a row of 36 bits is read by one port alone
    read = "else first <= rows[a];" if bits < 36 else ""
    stores = [BYTES.format(place, 9 * place + 8, 9 * place) for place in range(bits // 9)]
    store = "\n                ".join(stores) if bits > 9 else "rows[a] <= written;"
    # what such a block RAM starts with is not modelled
    start = "40503 * i + 7" if bits < 36 else "0"
    sizes = {"bits": bits, "last": bits - 1, "top": WIDTHS[bits] - 1, "rows": 2 ** WIDTHS[bits]}
    text = MEMORY.format(**sizes, store=store, read=read, start=start)
    (folder / "memory.v").write_text(text)
    run_yosys(
        find_tools().path("yosys"),
        f"read_verilog memory.v\nsynth_ecp5 -top memory_{bits} -run begin:map_gates\nopt_clean\n"
        f"rename memory_{bits} mapped_{bits}\nwrite_verilog -noattr mapped.v\n",
        folder,
    )
    netlist = (folder / "mapped.v").read_text()
    assert "DP16KD #(" in netlist
    # there is no reset, and a port only writes or only reads
    for name, there, modelled in (
        ("GSR", "AUTO", "DISABLED"),
        (r"WRITEMODE_[AB]", "READBEFOREWRITE", "NORMAL"),
    ):
        netlist = re.sub(rf'({name})\("{there}"\)', rf'\1("{modelled}")', netlist)
    return text + re.sub(r"    \.(WID|INIT_DATA)\([^)]*\),?\n", "", netlist)


@pytest.fixture(name="memories", scope="module")
def memories_fixture(tmp_path_factory: pytest.TempPathFactory) -> str:
    """All memories, in both forms."""
    folder = tmp_path_factory.mktemp("memories")
    return "".join(mapped(folder, bits) for bits in WIDTHS)


def differences(memories: str, folder: Path, *, old: str = "", new: str = "") -> tuple[str, str]:
    """For each width, last one first: a 1 where model and memory differed, and where something was read."""
    model = (CELL_MODELS / "block_ram.v").read_text()
    assert old in model
    text = model.replace(old, new) if old else model
    cases = ""
    for place, (bits, rows) in enumerate(WIDTHS.items()):
        cases += CASE.format(bits=bits, last=bits - 1, top=rows - 1, place=place)
    text += memories + DRIVER.format(count=len(WIDTHS), cases=cases, cycles=CYCLES)
    (folder / "bench.v").write_text(text)
    environment = tool_environment(delays=True)
    # compiling takes longer than running
    environment["MAKEFLAGS"] += " OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"
    command = ["verilator", "--binary", "-o", "driver", "-j", "1", "--timing", "--Mdir", ".", "--top-module", "driver"]
    command += ["--x-initial", "0", "-Wno-lint", "-Wno-style", "bench.v"]
    built = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=300
    )
    assert built.returncode == 0, built.stdout + built.stderr
    run = subprocess.run(
        ["./driver", "+verilator+seed+3"], cwd=folder, capture_output=True, text=True, check=True, timeout=300
    )
    _, differed, _, seen = next(line for line in run.stdout.splitlines() if line.startswith("differed")).split()
    return differed, seen


def test_the_model_is_what_yosys_takes_it_for(memories: str, tmp_path: Path) -> None:
    assert differences(memories, tmp_path) == ("0000", "1111")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("{9{ADA3}}", "{9{ADA2}}", "1000"),
        # the address of a row; the enables of its halves; a port that is not enabled keeps its output
        ("DATA_WIDTH_A == 9 ? 3", "DATA_WIDTH_A == 9 ? 4", "0010"),
        ("halves[1] ?", "halves[0] ?", "0100"),
        ("if (enabled_b && !WEB) latch_b", "if (!WEB) latch_b", "0111"),
        # what it starts with
        ("DATA_WIDTH_A < 9 ? 8 : 9", "9", "0001"),
        ("at / USED % 2 * 9", "at / USED % 2 * 8", "0111"),
    ],
)
def test_another_model_shows(memories: str, tmp_path: Path, old: str, new: str, expected: str) -> None:
    assert differences(memories, tmp_path, old=old, new=new)[0] == expected
