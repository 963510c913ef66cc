"""The model of a chip, ``fpga/models/sdram.v``, with the figures of a data sheet."""

from collections.abc import Mapping
from pathlib import Path

from spikequant.fpga.sdram.pins import SimulatedSdramPort
from spikequant.fpga.sdram.timing import NANOSECONDS, SdramTiming

MODEL = Path(__file__).with_name("sdram.v")

PICOSECONDS = 1000
"""In a nanosecond."""


def model_parameters(timing: SdramTiming, *, fatal: bool = False, **changed: int) -> str:
    """The parameters of the model as Verilog has them between ``#(`` and ``)``.

    Args:
        timing: the chip and its clock.
        fatal: a violation ends the simulation.
        changed: parameters of other values.
    """
    chip = timing.chip
    times = {
        "T_CK": chip.t_ck,
        "T_RC": chip.t_rc,
        "T_RFC": chip.t_rfc,
        "T_RAS": chip.t_ras,
        "T_RAS_MAX": chip.t_ras_max,
        "T_RCD": chip.t_rcd,
        "T_RP": chip.t_rp,
        "T_RRD": chip.t_rrd,
        "T_WR": chip.t_wr,
        "T_MRD": chip.t_mrd,
        "T_REF": chip.t_ref,
        "T_START": chip.t_start,
    }
    values = {name: PICOSECONDS * time for name, time in times.items()} | {
        "T_CLOCK": int(PICOSECONDS * NANOSECONDS / timing.clock_hz + 1e-6),
        "ROW_BITS": chip.row_bits,
        "COLUMN_BITS": chip.column_bits,
        "REFRESHES": chip.refreshes,
        "START_REFRESHES": chip.start_refreshes,
        "FATAL": int(fatal),
    }
    # a time may be longer than 32 bits say
    return ", ".join(f".{name}(64'd{value})" for name, value in (values | changed).items())


COUNTS = ("activates", "reads", "writes", "refreshes", "columns", "violations")
"""Outputs of the model, 32 bits each."""


def wrap_with_chip(
    name: str,
    inner: str,
    ports: Mapping[str, tuple[str, int]],
    port: SimulatedSdramPort,
    timing: SdramTiming,
    *,
    counts: bool = False,
    fatal: bool = False,
) -> str:
    """A Verilog module around a module with a chip's pins, which puts the model of the chip there.

    Args:
        name: of the new module.
        inner: the module, which has ``ports`` and those of ``SimulatedSdramPort.ports``.
        ports: those of both modules: ``input`` or ``output`` and the width, by name.
        port: the pins.
        timing: the chip and its clock.
        counts: the new module has the model's counts as outputs.
        fatal: a violation ends the simulation.
    """
    declared = [f"{direction} [{width - 1}:0] {port_name}" for port_name, (direction, width) in ports.items()]
    declared += [f"output [31:0] {count}" for count in COUNTS if counts]
    pins = port.ports()
    wires = "\n".join(f"    wire [{len(signal) - 1}:0] {pin};" for pin, signal in pins.items())
    inner_ports = ", ".join(f".{port_name}({port_name})" for port_name in [*ports, *pins])
    # the enables of all data pins are one
    chip_ports = [f".{pin.removeprefix('sdram_')}({pin}{'[0]' if pin.endswith('oe') else ''})" for pin in pins]
    chip_ports += [f".{count}({count if counts else ''})" for count in COUNTS]
    return f"""module {name} (
    {", ".join(declared)}
);
{wires}
    {inner} {inner} ({inner_ports});
    sdram #({model_parameters(timing, fatal=fatal)}) chip ({", ".join(chip_ports)});
endmodule
"""
