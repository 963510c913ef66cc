"""A SoC without a CPU around the accelerator, in LiteX's simulator: a bridge on a serial line runs a layer by CSRs.

Run as ``python litex_soc.py GENERATED WORK`` in an environment with LiteX: GENERATED is what ``spikequant generate
--testbench`` wrote, WORK a folder for the build, which is kept. The last line printed has the words compared and wrong.
"""

import socket
import subprocess
import sys
import time
from pathlib import Path

from litex.build.generic_platform import Pins, Subsignal
from litex.build.sim import SimPlatform
from litex.build.sim.config import SimConfig
from litex.soc.cores.uart import RS232PHYModel, UARTBone
from litex.soc.integration.builder import Builder
from litex.soc.integration.soc_core import SoCCore
from litex.tools.remote.comm_uart import CommUART
from migen.genlib.io import CRG

IO = [
    ("sys_clk", 0, Pins(1)),
    (
        "serial",
        0,
        *(
            Subsignal(f"{side}_{name}", Pins(width))
            for side in ("source", "sink")
            for name, width in (("valid", 1), ("ready", 1), ("data", 8))
        ),
    ),
]

CLOCK_HZ = int(1e9)
"""Nominal clock. The bridge drops a command after a tenth of a second, which a slow simulator must not reach."""

LAST, ANY = 1, 2
WRITABLE, READABLE, IS_LAST = 1, 2, 4
SECONDS = 500


class SoC(SoCCore):
    """The accelerator with CSRs, and a bridge from the serial line to the bus."""

    def __init__(self, generated: Path) -> None:
        sys.path.insert(0, str(generated))
        from spikequant_litex import SpikeQuant

        platform = SimPlatform("SIM", IO)
        SoCCore.__init__(self, platform, clk_freq=CLOCK_HZ, cpu_type=None, with_uart=False, with_timer=False)
        self.crg = CRG(platform.request("sys_clk"))
        self.phy = RS232PHYModel(platform.request("serial"))
        self.bridge = UARTBone(self.phy, CLOCK_HZ, address_width=self.bus.address_width)
        self.bus.add_master(name="bridge", master=self.bridge.wishbone)
        self.spikequant = SpikeQuant(platform)
        self.spikequant.add_csr()


def build(generated: Path, work: Path, config: SimConfig) -> None:
    """Build the simulator in the folder ``gateware``."""
    builder = Builder(SoC(generated), output_dir=str(work), csr_csv=str(work / "csr.csv"), compile_software=False)
    builder.build(run=False, sim_config=config, opt_level="O0", jobs=1)
    subprocess.run(["bash", "build_sim.sh"], cwd=work / "gateware", check=True)


def read_vectors(path: Path) -> list[tuple[int, int]]:
    """Marks and words of a file."""
    return [(int(line[0], 16), int(line[1:], 16)) for line in path.read_text().split()]


def run_layer(bus: CommUART, generated: Path) -> tuple[int, int]:
    """Send the packets and compare the results; return the words compared, and those that differ."""
    registers = bus.regs
    to_send = read_vectors(generated / "testbench" / "packets.hex")
    expected = read_vectors(generated / "testbench" / "results.hex")
    compared = wrong = 0
    ends = time.monotonic() + SECONDS
    while expected and time.monotonic() < ends:
        status = registers.spikequant_status.read()
        if to_send and status & WRITABLE:
            mark, word = to_send.pop(0)
            (registers.spikequant_push_last if mark & LAST else registers.spikequant_push).write(word)
        if status & READABLE:
            mark, word = expected.pop(0)
            found = registers.spikequant_pop.read()
            compared += 1
            wrong += bool(status & IS_LAST) != bool(mark & LAST) or (not mark & ANY and found != word)
    return compared, wrong + len(expected)


def main() -> None:
    """Build, run and report."""
    generated, work = (Path(argument).resolve() for argument in sys.argv[1:])
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    config = SimConfig()
    config.add_clocker("sys_clk", freq_hz=CLOCK_HZ)
    config.add_module("serial2tcp", ("serial", 0), args={"port": port, "bind_ip": "127.0.0.1"})
    folder = work / "gateware"
    if not (folder / "obj_dir" / "Vsim").exists():
        build(generated, work, config)
    (folder / "sim_config.js").write_text(config.get_json())
    with (work / "run.log").open("w") as log:
        simulator = subprocess.Popen(["obj_dir/Vsim"], cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    try:
        for _ in range(100):
            time.sleep(0.3)
            try:
                bus = CommUART(f"socket://localhost:{port}", csr_csv=str(work / "csr.csv"))
                break
            except OSError:
                continue
        compared, wrong = run_layer(bus, generated)
    finally:
        simulator.kill()
    print(f"{compared} words compared, {wrong} wrong")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
