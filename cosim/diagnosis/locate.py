"""Search for the cause of a wrong output: check the packets, then replay one token with a probe and a waveform."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from vcd.gtkw import GTKWSave

from spikequant.cosim.diagnosis.array_check import array_divergence
from spikequant.cosim.diagnosis.divergence import READOUT, Divergence, first_output
from spikequant.cosim.diagnosis.driver_check import driver_divergence
from spikequant.cosim.diagnosis.trace_probe import (
    PROBE,
    RECORD,
    WAVES,
    WINDOW_OPTIONS,
    Records,
    named_signals,
    probe_verilog,
    read_records,
)
from spikequant.cosim.scoreboard import wrong_outputs
from spikequant.cosim.simulator.build import accelerator_sources
from spikequant.cosim.simulator.burst import CLOCK_PERIOD_NS
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.files import replace_file
from spikequant.rtl.driver.device import run_on_device
from spikequant.rtl.driver.packet_model import Completed, PacketModel
from spikequant.rtl.driver.program import layer_program

VIEW = "window.gtkw"

CYCLES_BEFORE, CYCLES_AFTER = 64, 32
"""Clock cycles of the waveform before and after the divergence."""

CLOCK_PERIOD_PS = 1000 * CLOCK_PERIOD_NS
"""Clock period in the waveform's time unit."""

COMPANY = "not in the token alone"
"""Stage of a divergence that needs earlier tokens, or another netlist of the design, to occur."""


@dataclass(frozen=True)
class Located:
    """A divergence, and the files that show it.

    Attributes:
        divergence: the divergence, with indices of the layer.
        waves, view: waveform of the cycles around it, and GTKWave's view of the relevant signals; None if the replay
            is correct.
    """

    divergence: Divergence
    waves: Path | None
    view: Path | None


def locate(
    spec: Spec,
    vectors: LayerVectors,
    output: LayerOutput,
    *,
    out: Path,
    sources: Mapping[str, str] | None = None,
    cache: Path | None = None,
) -> Located:
    """Find the first divergence that leads to a layer's wrong outputs.

    Args:
        spec: the accelerator.
        vectors: the layer.
        output: the hardware's results, with at least one wrong output.
        out: folder for the waveform and its view.
        sources: Verilog by file name, not a netlist; the generated Verilog by default.
        cache: root of the cache of simulator builds; the user's cache by default.

    Raises:
        InputError: a tool is missing.
        SimulationError: the simulator could not be built, or the accelerator hangs.
        PacketError: the accelerator refused a packet or sent a broken one.
    """
    golden = run_layer(vectors, spec)
    token, neuron = (int(index[0]) for index in np.nonzero(wrong_outputs(golden, output)))
    sent = driver_divergence(spec, vectors, golden, layer_program(spec, vectors))
    if sent is not None:
        token, neuron = sent.token, sent.neuron
    alone = first_output(vectors, token, neuron, spec)
    own = neuron % spec.neurons
    texts = {**(sources or accelerator_sources(spec)), f"{PROBE}.v": probe_verilog(spec, own)}
    replay = _Replay(spec, alone, own, texts, cache)
    result, records, last = replay.play()
    right = run_layer(alone, spec)
    found = sent
    if found is None and wrong_outputs(right, result).any():
        found = array_divergence(spec, alone, own, _first_inputs(spec, alone), records)
    found = found or _readout(right, result, own)
    if found is None:
        expected, got = (
            f"V' {one.membrane[token, neuron]}, code {one.code[token, neuron]}" for one in (golden, output)
        )
        where = "the whole layer; a replay of the token alone is correct"
        return Located(Divergence(COMPANY, token, neuron, None, where, "output", expected, got), None, None)
    centre = found.cycle if found.cycle is not None else int(records.cycle[0]) if len(records.cycle) else last
    waves = replay.waves(max(centre - CYCLES_BEFORE, 0), min(centre + CYCLES_AFTER, last - 1), out)
    return Located(replace(found, token=token, neuron=neuron), waves, _write_view(spec, own, waves))


def _first_inputs(spec: Spec, alone: LayerVectors) -> list[int]:
    """Return the first weight row of each tile of the token."""
    model, completed = PacketModel(spec), None
    for packet in layer_program(spec, alone).packets:
        completed = model.take(packet) or completed
    assert isinstance(completed, Completed)
    return [int(run.header.input) for run in completed.runs]


def _readout(golden: LayerOutput, output: LayerOutput, own: int) -> Divergence | None:
    for quantity, expected, got in (
        ("V'", golden.membrane, output.membrane),
        ("code", golden.code, output.code),
        ("saturation flag", golden.saturated, output.saturated),
    ):
        if expected[0, own] != got[0, own]:
            values = str(expected[0, own]), str(got[0, own])
            return Divergence(READOUT, 0, own, None, "after the last phase", quantity, *values)
    return None


@dataclass(frozen=True)
class _Replay:
    """Replays of one token and one output tile on the generated Verilog."""

    spec: Spec
    vectors: LayerVectors
    neuron: int
    sources: Mapping[str, str]
    cache: Path | None

    def _device(self, *arguments: str) -> SimulatedDevice:
        return SimulatedDevice(
            self.spec, sources=self.sources, options=WINDOW_OPTIONS, arguments=arguments, cache=self.cache
        )

    def play(self) -> tuple[LayerOutput, Records, int]:
        """Return results, records of the probe, and the number of clock cycles."""
        with self._device() as device:
            run = run_on_device(device, self.vectors)
            records = read_records(self.spec, self.neuron, device.folder / RECORD)
        return run.output, records, run.cycles

    def waves(self, first: int, last: int, out: Path) -> Path:
        """Write the waveform of a range of cycles to a folder; return its path."""
        out.mkdir(parents=True, exist_ok=True)
        with self._device(f"from={first}") as device:
            run_on_device(device, self.vectors)
            with replace_file(out / WAVES) as beside:
                _cut_waves(device.folder / WAVES, beside, cycles=last - first)
        return out / WAVES


def _cut_waves(source: Path, target: Path, *, cycles: int) -> None:
    """Copy the first cycles of a waveform, as Verilator cannot end it before the simulation ends."""
    end: int | None = None
    with source.open(encoding="ascii") as lines, target.open("w", encoding="ascii") as kept:
        for line in lines:
            if line.startswith("#"):
                time = int(line[1:])
                end = time + cycles * CLOCK_PERIOD_PS if end is None else end
                if time > end:
                    return
            kept.write(line)


def _write_view(spec: Spec, neuron: int, waves: Path) -> Path:
    """Write a view of the relevant signals for GTKWave and Surfer; return its path."""
    view = waves.with_name(VIEW)
    with replace_file(view) as beside, beside.open("w", encoding="utf-8") as file:
        save = GTKWSave(file)
        save.dumpfile(waves.name)
        save.treeopen("burst.")
        save.trace("burst.clk")
        save.trace("burst.cycles[63:0]", datafmt="dec")
        for name, bits in named_signals(spec, neuron):
            signed = name.endswith(("_current", "_charge"))
            save.trace(f"burst.{name}{f'[{bits - 1}:0]' if bits > 1 else ''}", datafmt="signed" if signed else "hex")
    return view
