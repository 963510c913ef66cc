"""The package of a generated accelerator: what other tools need beside its Verilog."""

from importlib.metadata import version
from pathlib import Path

from spikequant.gen.package.bench import bench_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.files import write_text
from spikequant.golden.support.page import text_template
from spikequant.rtl.driver.packet_description import describe_packets

PACKETS, CORE, LITEX = "packets.json", "spikequant.core", "spikequant_litex.py"
"""Files beside the Verilog."""

TESTBENCH = "testbench"
"""Folder of the test benches, beside the Verilog."""

BENCH_FILES = ("README.md", "Makefile", "test_spikequant.py", "spikequant_tb.v")
"""Files of the test benches that are templates."""


def write_package(spec: Spec, out: Path, *, waivers: str, testbench: bool) -> list[Path]:
    """Write the description of the packets, the FuseSoC core and the LiteX module, and test benches if wanted.

    Args:
        spec: the accelerator.
        out: folder that holds the Verilog.
        waivers: name of the file there with lint waivers for Verilator.
        testbench: write the folder ``testbench``, with vectors, for cocotb and for Verilog alone.

    Returns:
        The files and the folder that were written.
    """
    describe_packets(spec).write(out / PACKETS)
    values = {
        "spec": spec,
        "version": version("spikequant"),
        "testbench": TESTBENCH if testbench else "",
        "waivers": waivers,
    }
    places = {name: out / name for name in (CORE, LITEX)}
    if testbench:
        folder = out / TESTBENCH
        vectors = bench_vectors(spec)
        write_text(folder / "packets.hex", "\n".join([*vectors.packets, ""]))
        write_text(folder / "results.hex", "\n".join([*vectors.results, ""]))
        values |= {"packet_words": len(vectors.packets), "result_words": len(vectors.results)}
        places |= {name: folder / name for name in BENCH_FILES}
    for name, path in places.items():
        write_text(path, text_template("spikequant.gen.package", name).render(values))
    written = [out / name for name in (PACKETS, CORE, LITEX)]
    return [*written, out / TESTBENCH] if testbench else written
