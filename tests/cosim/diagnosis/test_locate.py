"""Location of planted faults in each part of the accelerator and in the driver: stage, tick and values."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from amaranth.hdl import Module
from amaranth.lib.wiring import Component, connect, flipped
from rich.console import Console

import spikequant.rtl.accelerator
import spikequant.rtl.driver.program
import spikequant.rtl.integrator
import spikequant.rtl.neurons.neuron
from spikequant.cosim.diagnosis.divergence import DRIVER, ENCODER, NEURON, SUMS
from spikequant.cosim.diagnosis.locate import Located, locate
from spikequant.cosim.diagnosis.screen import divergence_panel
from spikequant.cosim.diagnosis.trace_probe import PROBE, WINDOW_OPTIONS, probe_verilog
from spikequant.cosim.scoreboard import wrong_outputs
from spikequant.cosim.simulator.build import accelerator_sources
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.neuron import simulate
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.rtl.driver.device import run_on_device
from spikequant.rtl.encoder.encoder import Encoder
from spikequant.rtl.fabric.carry import GatedAdder, SignedSums

MonkeyPatch = pytest.MonkeyPatch


class AddsZeroPoints(GatedAdder):
    """Adds where it should subtract."""

    def __init__(self, *, bits: int, subtract: bool = False) -> None:
        del subtract
        super().__init__(bits=bits)


class IgnoresSecondSign(SignedSums):
    """The tree of sums adds its second operand for the last of its neurons, whatever its sign is."""

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        flip_x, flip_y = (sign.replicate(len(self.x[0])) for sign in (self.sign_x, self.sign_y))
        for number, (x, y, total) in enumerate(zip(self.x, self.y, self.sums, strict=True)):
            m.d.comb += total.eq((x ^ flip_x) + (y if number == 3 else y ^ flip_y))
        return m


class FlipsASign(Component):
    """An encoder that turns the sign of every spike of the last lane."""

    def __init__(self, spec: Spec) -> None:
        self._encoder = Encoder(spec)
        super().__init__(self._encoder.signature)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.encoder = encoder = self._encoder
        for name, member in self.signature.members.items():
            if member.is_signature:
                connect(m, getattr(encoder, name), flipped(getattr(self, name)))
            elif member.flow.name == "In":
                m.d.comb += getattr(encoder, name).eq(getattr(self, name))
            else:
                m.d.comb += getattr(self, name).eq(getattr(encoder, name))
        m.d.comb += self.write.data.beat.spikes[-1].sign.eq(~encoder.write.data.beat.spikes[-1].sign)
        return m


def planted(monkeypatch: MonkeyPatch, spec: Spec, *bug: Any) -> dict[str, str]:
    """The Verilog with a bug."""
    with monkeypatch.context() as patched:
        patched.setattr(*bug)
        return accelerator_sources(spec)


def inputs(spikes: str) -> Counter[str]:
    """How often each input fires, whatever the sign."""
    found: Counter[str] = Counter()
    for spike in spikes.split(", "):
        name, _, times = spike.partition(" x")
        found[name.rstrip("+-")] += int(times or 1)
    return found


@pytest.fixture
def layer(small: Spec) -> LayerVectors:
    """Two tiles of outputs, and of inputs; salient values with a shift."""
    return random_vectors(small, outputs=11, inputs=20, tokens=3, salient_fraction=0.2, extremes=False, seed=12)


@contextmanager
def located(
    spec: Spec, layer: LayerVectors, sources: dict[str, str], neuron: int, *, cache: Path, out: Path
) -> Iterator[tuple[Located, int, int]]:
    """The divergence of the first wrong output of the layer, which must be of that neuron; and the output."""
    texts = {**sources, f"{PROBE}.v": probe_verilog(spec, neuron)}
    with SimulatedDevice(spec, sources=texts, options=WINDOW_OPTIONS, cache=cache) as device:
        output = run_on_device(device, layer).output
    wrong = np.argwhere(wrong_outputs(run_layer(layer, spec), output))
    assert wrong.size
    assert wrong[0][1] == neuron
    yield locate(spec, layer, output, out=out, sources=sources, cache=cache), *wrong[0].tolist()


def assert_shown(found: Located, token: int, neuron: int) -> None:
    assert (found.divergence.token, found.divergence.neuron) == (token, neuron)
    console = Console(width=100, record=True, file=open("/dev/null", "w"))  # noqa: PTH123, SIM115
    console.print(divergence_panel(found, layer="a layer"))
    screen = console.export_text()
    assert len(screen.splitlines()) < 24
    for shown in ("a layer", found.divergence.stage, found.divergence.expected, found.divergence.got, "gtkwave"):
        assert shown in screen
    assert found.waves is not None
    assert found.view is not None
    waves, view = found.waves.read_text(), found.view.read_text()
    assert found.waves.name in view
    names = {line.split()[4] for line in waves.splitlines() if line.lstrip().startswith("$var")}
    times = [int(line[1:]) for line in waves.splitlines() if line.startswith("#")]
    # a window of cycles of 10 ns, in ps
    assert 0 < times[-1] - times[0] <= 100 * 10_000
    traced = [line.rpartition(".")[2].partition("[")[0] for line in view.splitlines() if line.startswith("burst.")]
    assert {"neuron_current", "lane_0_row", "membrane_stored"} <= set(traced) <= names


def test_in_the_neuron(small: Spec, layer: LayerVectors, cache: Path, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    sources = planted(monkeypatch, small, spikequant.rtl.neurons.neuron, "GatedAdder", AddsZeroPoints)
    with located(small, layer, sources, 0, cache=cache, out=tmp_path) as (found, token, neuron):
        assert found.divergence.stage == NEURON
        assert found.divergence.quantity == "membrane"
        assert found.divergence.where.startswith("after tile 0, ")
        assert_shown(found, token, neuron)


@pytest.mark.long
def test_in_the_encoder(
    small: Spec, layer: LayerVectors, cache: Path, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    sources = planted(monkeypatch, small, spikequant.rtl.accelerator, "Encoder", FlipsASign)
    with located(small, layer, sources, 0, cache=cache, out=tmp_path) as (found, token, neuron):
        divergence = found.divergence
        assert (divergence.stage, divergence.quantity) == (ENCODER, "spikes (input, sign)")
        # the inputs are the right ones
        assert inputs(divergence.expected) == inputs(divergence.got)
        phase = simulate(layer, token, small).program[0]
        here = [
            f"{row}{'+' if sign > 0 else '-'}"
            for row, sign, tick in zip(phase.row, phase.sign, phase.tick, strict=True)
            if tick == divergence.tick
        ]
        assert {spike.partition(" x")[0] for spike in divergence.expected.split(", ")} == set(here)
        assert_shown(found, token, neuron)


@pytest.mark.long
def test_in_the_tree_of_sums(
    small: Spec, layer: LayerVectors, cache: Path, tmp_path: Path, monkeypatch: MonkeyPatch
) -> None:
    sources = planted(monkeypatch, small, spikequant.rtl.integrator, "SignedSums", IgnoresSecondSign)
    with located(small, layer, sources, 3, cache=cache, out=tmp_path) as (found, token, neuron):
        divergence = found.divergence
        assert (divergence.stage, divergence.quantity) == (SUMS, "current")
        trace = simulate(layer, token, small, neurons=[neuron]).trace
        assert divergence.tick is not None
        assert divergence.expected == str(trace.current[divergence.tick, 0])
        assert divergence.got != divergence.expected
        assert_shown(found, token, neuron)


@pytest.mark.parametrize("bug", ["weights", "zero point", "shift"])
def test_in_the_driver(
    small: Spec, layer: LayerVectors, cache: Path, tmp_path: Path, monkeypatch: MonkeyPatch, bug: str
) -> None:
    def wrong(name: str, change: Callable[..., dict[str, Any]]) -> None:
        right = getattr(spikequant.rtl.driver.program, name)
        monkeypatch.setattr(
            spikequant.rtl.driver.program, name, lambda *args, **kwargs: right(*args, **change(**kwargs))
        )

    if bug == "weights":
        wrong("weights_packet", lambda **rest: rest | {"codes": np.roll(rest["codes"], 1, axis=0)})
    elif bug == "zero point":
        wrong("neurons_packet", lambda **rest: rest | {"zero": rest["zero"] ^ 1})
    else:
        wrong("run_packet", lambda **rest: rest | {"shift": rest["shift"] ^ 1})
        # merged charges are doubled by the score's shift, others by that of the run
        level = layer.level.copy()
        level[:, 0], salient = 31 << 11, layer.salient.copy()
        salient[:, 0] = True
        shift, offset = np.full(3, 11, np.uint8), np.zeros(3, np.int8)
        level = np.where(salient, 31 << 11, layer.level).astype(np.int32)
        layer = replace(layer, level=level, salient=salient, shift=shift, offset=offset)
    with located(small, layer, accelerator_sources(small), 0, cache=cache, out=tmp_path) as (found, token, neuron):
        divergence = found.divergence
        assert (divergence.stage, divergence.tick) == (DRIVER, None)
        quantity = {"weights": "stored weight", "zero point": "weight zero point", "shift": "shift"}[bug]
        assert divergence.quantity == quantity
        if bug == "weights":
            assert "(RUN), tile 0, input " in divergence.where
        if bug == "shift":
            assert (divergence.expected, divergence.got) == ("11", "10")
        assert_shown(found, token, neuron)
