"""A component alone on a device, without a board: what an array takes, and how fast it is, by itself."""

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal
from amaranth.lib.wiring import Component, In
from amaranth.vendor import LatticePlatform

from spikequant.fpga.build.build import FLATTEN, NAME, STATISTICS, Design

PACKAGE = "CABGA381"
SPEED = "6"

DEVICE_OPTIONS: Mapping[str, str] = {"LFE5U-25F": "--25k", "LFE5U-45F": "--45k", "LFE5U-85F": "--85k"}
"""How nextpnr is told the device."""

SCRIPT = f"""read_rtlil {NAME}.il
{FLATTEN}
synth_ecp5 -top {NAME}
tee -q -o {STATISTICS} stat -json
write_json {NAME}.json
"""
"""Synthesis, as Amaranth's platform has it for a board."""


BELOW = "core."
"""What the names of a registered component's cells begin with."""


class RegisteredCore(Component):
    """A component with a register at every port, and at its reset, so that no path of its own leads to a pin.

    The handshakes of its streams do not survive this. Latency: one cycle in, one cycle out.

    Attributes:
        clock, reset: of the component.
        *: as the component has them.
    """

    def __init__(self, core: Any) -> None:
        self._core = core
        super().__init__({"clock": In(1), "reset": In(1), **core.signature.members})

    def elaborate(self, _platform: object) -> Module:
        """Registers around the component."""
        m = Module()
        m.domains.sync = ClockDomain()
        m.domains.outside = ClockDomain(reset_less=True)
        m.submodules.core = self._core
        m.d.comb += [ClockSignal("sync").eq(self.clock), ClockSignal("outside").eq(self.clock)]
        m.d.outside += ResetSignal("sync").eq(self.reset)
        for name, member in self._core.signature.members.items():
            pin, port = getattr(self, name), getattr(self._core, name)
            m.d.outside += port.eq(pin) if member.flow is In else pin.eq(port)
        return m


class Device(LatticePlatform):
    """An ECP5 without anything around it: blocks see which fabric they are for."""

    device = "LFE5U-85F"
    package = "BG381"
    speed = SPEED
    resources = ()
    connectors = ()


def make_design(make_core: Callable[[], Any], *, device: str, frequency_hz: float, registered: bool = True) -> Design:
    """The component that ``make_core`` makes, on a device.

    Equal components give equal designs: no path and no time is in them.

    Args:
        make_core: makes it; its ports are plain signals.
        device: a key of ``spikequant.fpga.boards.DEVICES``.
        frequency_hz: clock that placement and routing aim at.
        registered: with registers at its ports, for figures of a routed design; else as it is, with ``clk`` and
            ``rst``, for simulation of its netlist.
    """
    component, clock = (RegisteredCore(make_core()), "clock") if registered else (make_core(), "clk")
    return design_of(component, device=device, clocks={clock: frequency_hz})


def design_of(component: Component, *, device: str, clocks: Mapping[str, float]) -> Design:
    """A component as it is on a device.

    Args:
        component: its ports are plain signals.
        device: a key of ``spikequant.fpga.boards.DEVICES``.
        clocks: frequency in Hz that placement and routing aim at, by the port that each clock comes in at.
    """
    return constrained_design(rtlil.convert(component, name=NAME, platform=Device(), emit_src=False), device, clocks)


def constrained_design(text: str, device: str, clocks: Mapping[str, float]) -> Design:
    """A design from RTLIL.

    Args:
        text: of the module ``top``, which is for the device.
        device: a key of ``spikequant.fpga.boards.DEVICES``.
        clocks: frequency in Hz that placement and routing aim at, by the port that each clock comes in at.
    """
    wanted = [f'FREQUENCY PORT "{port}" {hz / 1e6:.3f} MHZ;' for port, hz in clocks.items()]
    constraints = "\n".join(["BLOCK ASYNCPATHS;", "BLOCK RESETPATHS;", *wanted]) + "\n"
    files = {
        f"{NAME}.il": text.encode(),
        f"{NAME}.ys": SCRIPT.encode(),
        f"{NAME}.lpf": constraints.encode(),
    }
    return loaded_design(files, device=device)


def loaded_design(files: dict[str, bytes], *, device: str) -> Design:
    """A design from files that ``make_design`` made, on the same device or another: only the commands depend on it."""
    return Design(target=device, device=device, files=files, commands=device_commands(device))


def device_commands(device: str) -> dict[str, list[str]]:
    """Command lines of the tools by their names."""
    placing = [
        *("--log", f"{NAME}.tim", DEVICE_OPTIONS[device], "--package", PACKAGE, "--speed", SPEED),
        *("--json", f"{NAME}.json", "--lpf", f"{NAME}.lpf", "--lpf-allow-unconstrained"),
        *("--textcfg", f"{NAME}.config"),
    ]
    return {"yosys": ["-l", f"{NAME}.rpt", f"{NAME}.ys"], "nextpnr-ecp5": placing}
