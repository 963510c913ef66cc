"""Top modules: the accelerator with its serial line, and on a board."""

from typing import Any

from amaranth.build import ResourceError
from amaranth.hdl import ClockDomain, ClockSignal, DomainRenamer, Instance, Module, ResetInserter, ResetSignal, Signal
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.io import Buffer
from amaranth.lib.wiring import Component, In, Out, connect

from spikequant.fpga.build.pll import PllSettings
from spikequant.fpga.link.link import Link
from spikequant.fpga.link.protocol import BUFFER_WORDS, identify
from spikequant.fpga.link.uart import UartReceiver, UartTransmitter
from spikequant.fpga.sdram.memory import DOMAIN, WeightMemory
from spikequant.fpga.sdram.pins import SdramPins
from spikequant.fpga.sdram.timing import SdramTiming


class SerialAccelerator(Component):
    """A component with AXI4-Stream ports, connected to a serial line by ``fpga.link.protocol``.

    Drives the reset of domain ``sync``, and of the memory's domain, until ``locked``. A new session resets only the
    component.

    Attributes:
        rx, tx: the line.
        locked: the clock is stable.
        busy: the accelerator is busy, or the memory is sending it a packet.
        damaged: a damaged frame was received in this session.
        memory: memory upstream of the component, whose pins are left to connect; None without one.
    """

    def __init__(
        self, core: Any, *, divisor: int, memory: SdramTiming | None = None, buffer_words: int = BUFFER_WORDS
    ) -> None:
        """``core`` is the component, with its ``spec``; ``divisor`` is the number of clock cycles a bit of the line."""
        self.memory = None if memory is None else WeightMemory(memory)
        self._core = core
        self._divisor = divisor
        self._buffer_words = buffer_words
        super().__init__(
            {"rx": In(1, init=1), "tx": Out(1, init=1), "locked": In(1), "busy": Out(1), "damaged": Out(1)}
        )

    def elaborate(self, _platform: object) -> Module:
        """Connect receiver, link, memory, component and transmitter, and make the resets."""
        m = Module()
        core = self._core
        memory = self.memory
        identity = identify(type(core).__name__, core.spec, chip=memory.timing.chip if memory else None)
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.link = link = Link(identity, buffer_words=self._buffer_words)
        m.submodules.core = ResetInserter(link.restart)(core)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        connect(m, receiver.o, link.i)
        connect(m, link.o, transmitter.i)
        source = link.sink
        if memory is not None:
            m.submodules.memory = memory
            connect(m, link.sink, memory.i)
            m.d.comb += memory.restart.eq(link.restart)
            source = memory.o
        m.d.comb += [
            receiver.rx.eq(self.rx),
            self.tx.eq(transmitter.tx),
            core.s_axis_tdata.eq(source.payload.data),
            core.s_axis_tlast.eq(source.payload.last),
            core.s_axis_tvalid.eq(source.valid),
            source.ready.eq(core.s_axis_tready),
            link.source.payload.data.eq(core.m_axis_tdata),
            link.source.payload.last.eq(core.m_axis_tlast),
            link.source.valid.eq(core.m_axis_tvalid),
            core.m_axis_tready.eq(link.source.ready),
            self.busy.eq(core.busy | (memory.busy if memory else 0)),
            self.damaged.eq(link.damaged),
        ]

        for domain in ("sync", DOMAIN) if memory else ("sync",):
            locked = Signal(name=f"{domain}_locked")
            reset = Signal(init=1, reset_less=True, name=f"{domain}_reset")
            m.submodules[f"{domain}_synchronizer"] = FFSynchronizer(
                self.locked, locked, o_domain=domain, reset_less=True
            )
            m.d[domain] += reset.eq(~locked)
            m.d.comb += ResetSignal(domain).eq(reset)
        return m


class BoardTop(Component):
    """A board's clock, serial line and LEDs around a ``SerialAccelerator``.

    LED 0 blinks about once a second while the clock runs, LED 1 is on while the accelerator or its memory is busy,
    LED 2 is on from a damaged frame until the next session. A board with fewer LEDs has the first ones; a single RGB
    LED shows them in green, blue and red.
    """

    def __init__(self, core: Any, *, pll: PllSettings, divisor: int, memory: SdramTiming | None = None) -> None:
        """``core`` is the component, ``divisor`` the number of clock cycles a bit of the serial line.

        With a ``memory``, weights may come from the board's SDRAM, clocked by the PLL's second output.
        """
        self._core = core
        self._pll = pll
        self._divisor = divisor
        self._memory = memory
        super().__init__({})

    def elaborate(self, platform: Any) -> Module:
        """Make clock domains and pins."""
        m = Module()
        m.submodules.clock_pin = clock_pin = Buffer("i", platform.request(platform.default_clk, dir="-"))
        m.domains.sync = ClockDomain()
        locked = Signal()
        outputs = [ClockSignal("sync")]
        if self._memory is not None:
            m.domains.memory = ClockDomain(DOMAIN)
            outputs.append(ClockSignal(DOMAIN))
        m.submodules.pll = _pll_instance(self._pll, clock_pin.i, outputs, locked)

        m.submodules.serial = serial = SerialAccelerator(self._core, divisor=self._divisor, memory=self._memory)
        if serial.memory is not None:
            port = platform.request("sdram", 0, dir="-")
            pins = SdramPins(port, serial.memory.timing.chip)
            m.submodules.sdram_pins = DomainRenamer(DOMAIN)(pins)
            connect(m, serial.memory.pins, pins.inner)
        line = platform.request("uart", 0, dir="-")
        m.submodules.rx_pin = rx_pin = Buffer("i", line.rx)
        m.submodules.tx_pin = tx_pin = Buffer("o", line.tx)
        m.d.comb += [serial.rx.eq(rx_pin.i), tx_pin.o.eq(serial.tx), serial.locked.eq(locked)]

        heartbeat = Signal(range(round(self._pll.output_hz)))
        m.d.sync += heartbeat.eq(heartbeat + 1)
        signs = (heartbeat[-1], serial.busy, serial.damaged)
        for index, (lit, pin) in enumerate(zip(signs, _leds(platform, len(signs)), strict=False)):
            led = Buffer("o", pin)
            registered = Signal()
            m.submodules[f"led_pin_{index}"] = led
            m.d.sync += registered.eq(lit)
            m.d.comb += led.o.eq(registered)
        return m


def _leds(platform: Any, count: int) -> list[Any]:
    """Pins of at most ``count`` LEDs; those of an RGB LED if the board has no others."""
    pins = []
    try:
        for index in range(count):
            pins.append(platform.request("led", index, dir="-"))
    except ResourceError:
        if not pins:
            colours = platform.request("rgb_led", 0, dir="-")
            pins = [colours.g, colours.b, colours.r]
    return pins


def _pll_instance(pll: PllSettings, reference: Signal, outputs: list[ClockSignal], locked: Signal) -> Instance:
    """An ECP5 PLL with feedback from its primary output, and with a second output if it has a divider."""
    second: dict[str, Any] = {}
    if pll.second_divider is not None:
        second = {
            "p_CLKOS_ENABLE": "ENABLED",
            "p_CLKOS_DIV": pll.second_divider,
            # nothing depends on the phase
            "p_CLKOS_CPHASE": pll.second_divider // 2,
            "p_CLKOS_FPHASE": 0,
            "o_CLKOS": outputs[1],
        }
    return Instance(
        "EHXPLLL",
        p_PLLRST_ENA="DISABLED",
        p_INTFB_WAKE="DISABLED",
        p_STDBY_ENABLE="DISABLED",
        p_DPHASE_SOURCE="DISABLED",
        p_OUTDIVIDER_MUXA="DIVA",
        p_OUTDIVIDER_MUXB="DIVB",
        p_OUTDIVIDER_MUXC="DIVC",
        p_OUTDIVIDER_MUXD="DIVD",
        p_CLKI_DIV=pll.input_divider,
        p_CLKFB_DIV=pll.feedback_divider,
        p_CLKOP_ENABLE="ENABLED",
        p_CLKOP_DIV=pll.output_divider,
        p_CLKOP_CPHASE=pll.output_phase,
        p_CLKOP_FPHASE=0,
        p_FEEDBK_PATH="CLKOP",
        # analogue settings of Project Trellis' ecppll
        a_ICP_CURRENT="12",
        a_LPF_RESISTOR="8",
        a_MFG_ENABLE_FILTEROPAMP="1",
        a_MFG_GMCREF_SEL="2",
        i_CLKI=reference,
        i_CLKFB=outputs[0],
        i_RST=0,
        i_STDBY=0,
        i_PHASESEL0=0,
        i_PHASESEL1=0,
        i_PHASEDIR=1,
        i_PHASESTEP=1,
        i_PHASELOADREG=1,
        i_PLLWAKESYNC=0,
        i_ENCLKOP=0,
        o_CLKOP=outputs[0],
        o_LOCK=locked,
        **second,
    )
