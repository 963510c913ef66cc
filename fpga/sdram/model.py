"""Model of a chip, ``sdram.v``, with the parameters of a data sheet."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from spikequant.fpga.sdram.pins import SimulatedSdramPort
from spikequant.fpga.sdram.timing import NANOSECONDS, SdramTiming

MODEL = Path(__file__).with_name("sdram.v")

PICOSECONDS = 1000
"""Picoseconds in a nanosecond."""


def model_parameters(timing: SdramTiming, *, fatal: bool = False, **changed: int) -> str:
    """Parameters of the model, as Verilog between ``#(`` and ``)``.

    Args:
        timing: the chip and its clock.
        fatal: a violation ends the simulation.
        changed: parameters to override.
    """
    chip = timing.chip
    times = {
        name.upper(): time
        for name, time in asdict(chip).items()
        if name.startswith("t_") and name not in {"t_ac", "t_oh"}
    }
    values = {name: PICOSECONDS * time for name, time in times.items()} | {
        "T_CLOCK": int(PICOSECONDS * NANOSECONDS / timing.clock_hz + 1e-6),
        "ROW_BITS": chip.row_bits,
        "COLUMN_BITS": chip.column_bits,
        "REFRESHES": chip.refreshes,
        "START_REFRESHES": chip.start_refreshes,
        "FATAL": int(fatal),
    }
    # a time may need more than 32 bits
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
    """Verilog module that connects a module with a chip's pins to the model of the chip.

    Args:
        name: name of the new module.
        inner: name of the module, with ``ports`` and those of ``SimulatedSdramPort.ports``.
        ports: ports of both modules: ``input`` or ``output`` and the width, by name.
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
    # all data pins have the same enable
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
