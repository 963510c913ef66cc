"""Designs of a component alone on a device, without a board, to measure its own resources and speed."""

from collections.abc import Callable, Mapping
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import ClockDomain, ClockSignal, Module, ResetSignal
from amaranth.lib.wiring import Component, In

from spikequant.fpga.build.build import FLATTEN, NAME, STATISTICS, Design
from spikequant.rtl.fabric import Ecp5

PACKAGE = "CABGA381"
SPEED = "6"

DEVICE_OPTIONS: Mapping[str, str] = {"LFE5U-25F": "--25k", "LFE5U-45F": "--45k", "LFE5U-85F": "--85k"}
"""nextpnr's option for each device."""

SCRIPT = f"""read_rtlil {NAME}.il
{FLATTEN}
synth_ecp5 -top {NAME}
tee -q -o {STATISTICS} stat -json
write_json {NAME}.json
"""
"""Synthesis script, the same as that of Amaranth's platform for a board."""


BELOW = "core."
"""Prefix of the cell names of a registered component."""


class RegisteredCore(Component):
    """A component with a register at every port and at its reset, so that no path leads from it to a pin.

    The registers break the handshakes of its streams: this is for timing only. Latency: one cycle in, one cycle out.

    Attributes:
        clock, reset: clock and reset of the component, whose own ports follow.
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


def make_design(make_core: Callable[[], Any], *, device: str, frequency_hz: float, registered: bool = True) -> Design:
    """Design of a component on a device.

    Equal components give equal designs: they contain no path and no time.

    Args:
        make_core: makes the component; its ports are plain signals.
        device: a key of ``spikequant.fpga.boards.DEVICES``.
        frequency_hz: clock that placement and routing aim at.
        registered: put registers at the ports, for figures of a routed design; else the component has ``clk`` and
            ``rst``, for simulation of its netlist.
    """
    component, clock = (RegisteredCore(make_core()), "clock") if registered else (make_core(), "clk")
    return design_of(component, device=device, clocks={clock: frequency_hz})


def design_of(component: Component, *, device: str, clocks: Mapping[str, float]) -> Design:
    """Design of a component with plain signals as ports; ``clocks`` as in ``constrained_design``."""
    return constrained_design(rtlil.convert(component, name=NAME, platform=Ecp5(), emit_src=False), device, clocks)


def constrained_design(text: str, device: str, clocks: Mapping[str, float]) -> Design:
    """Design from RTLIL.

    Args:
        text: RTLIL of the module ``top``, for the fabric of the device.
        device: a key of ``spikequant.fpga.boards.DEVICES``.
        clocks: frequency in Hz that placement and routing aim at, by the input port of each clock.
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
    """Design from files of ``make_design``, for any device: only the commands depend on it."""
    return Design(target=device, device=device, files=files, commands=device_commands(device))


def device_commands(device: str) -> dict[str, list[str]]:
    """Arguments of the tools by name."""
    placing = [
        *("--log", f"{NAME}.tim", DEVICE_OPTIONS[device], "--package", PACKAGE, "--speed", SPEED),
        *("--json", f"{NAME}.json", "--lpf", f"{NAME}.lpf", "--lpf-allow-unconstrained"),
        *("--textcfg", f"{NAME}.config"),
    ]
    return {"yosys": ["-l", f"{NAME}.rpt", f"{NAME}.ys"], "nextpnr-ecp5": placing}
