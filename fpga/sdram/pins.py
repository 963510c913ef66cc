"""Pins of an SDRAM: a register at each, and a clock that lags by half a cycle."""

from typing import Any

from amaranth.hdl import ClockSignal, Const, Module, Signal
from amaranth.lib.io import Buffer, DDRBuffer, FFBuffer, SimulationPort
from amaranth.lib.wiring import Component, In, flipped

from spikequant.fpga.sdram.shapes import BANK_BITS, DATA_BITS, MASK_BITS, PinsSignature
from spikequant.fpga.sdram.timing import SdramChip

CONTROLS = ("clk_en", "ras", "cas", "we", "ba", "a", "dqm")
"""Outputs of the controller, with the names of the pins in ``amaranth_boards``' resource."""


class SimulatedSdramPort:
    """Pins like those of a platform's resource, as ports for simulation, with the polarity of the chip's pins."""

    def __init__(self, chip: SdramChip) -> None:
        def port(direction: str, width: int, name: str, *, invert: bool = False) -> SimulationPort:
            return SimulationPort(direction, width, name=f"sdram_{name}", invert=invert)

        self.clk = port("o", 1, "clk")
        self.clk_en = port("o", 1, "cke")
        self.cs = port("o", 1, "cs_n", invert=True)
        self.ras = port("o", 1, "ras_n", invert=True)
        self.cas = port("o", 1, "cas_n", invert=True)
        self.we = port("o", 1, "we_n", invert=True)
        self.ba = port("o", BANK_BITS, "ba")
        self.a = port("o", chip.row_bits, "a")
        self.dqm = port("o", MASK_BITS, "dqm")
        self.dq = port("io", DATA_BITS, "dq")

    def ports(self) -> dict[str, Signal]:
        """Signals by name: ``sdram_`` and the model's port."""
        outputs = {
            "clk": self.clk,
            "cke": self.clk_en,
            "cs_n": self.cs,
            "ras_n": self.ras,
            "cas_n": self.cas,
            "we_n": self.we,
            "ba": self.ba,
            "a": self.a,
            "dqm": self.dqm,
        }
        signals = {name: port.o for name, port in outputs.items()}
        signals |= {"dq_i": self.dq.o, "dq_oe": self.dq.oe, "dq_o": self.dq.i}
        return {f"sdram_{name}": signal for name, signal in signals.items()}


class SdramPins(Component):
    """Registers at the pins, in domain ``sync``, whose inverted clock is the chip's.

    So commands and written words are on the pins from half a cycle before to half a cycle after the chip's edge.

    Latency: one cycle to the pins, one from them.

    Attributes:
        inner: the controller's side.
    """

    def __init__(self, port: Any, chip: SdramChip) -> None:
        """``port`` is a resource of the platform, requested without buffers, or a ``SimulatedSdramPort``."""
        self._port = port
        self._chip = chip
        super().__init__({"inner": In(PinsSignature(chip))})

    def elaborate(self, _platform: object) -> Module:
        """Make a buffer for each pin."""
        m = Module()
        inner, port = flipped(self.inner), self._port
        for name in CONTROLS:
            m.submodules[name] = buffer = FFBuffer("o", getattr(port, name))
            m.d.comb += buffer.o.eq(getattr(inner, name))
        m.submodules.cs = chosen = Buffer("o", port.cs)
        m.submodules.dq = words = FFBuffer("io", port.dq)
        m.d.comb += [
            chosen.o.eq(1),
            words.o.eq(inner.dq_o),
            words.oe.eq(inner.dq_oe),
            inner.dq_i.eq(words.i),
        ]
        if isinstance(port.clk, SimulationPort):
            m.submodules.clk = clock = Buffer("o", port.clk)
            m.d.comb += clock.o.eq(~ClockSignal())
        else:
            m.submodules.clk = clock = DDRBuffer("o", port.clk)
            m.d.comb += [clock.o[0].eq(Const(0)), clock.o[1].eq(Const(1))]
        return m
