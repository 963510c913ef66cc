"""Draw the figures of the documentation into docs/images.

Run ``python docs/draw.py`` for all figures, or name some: ``python docs/draw.py encoder readout``. ``waveform``
simulates in Verilator; ``token`` needs a demo in ``build/demo`` (``spikequant demo --skip-bitstream``).
"""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import MaxNLocator

from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.neuron import simulate
from spikequant.golden.layer.spec import Spec, load_spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.plotting import COLOURS, INK, MUTED, drawn

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
BLUE, RED, AMBER, GREEN = COLOURS[:4]
FACE, EDGE = "#eef3f9", "#7f96b2"


def _box(
    axes: Axes,
    place: tuple[float, float, float, float],
    title: str,
    text: str = "",
    *,
    face: str = FACE,
    edge: str = EDGE,
) -> None:
    """A box with a bold title and small lines below it; place is its lower left corner, width and height."""
    x, y, width, height = place
    style = {"boxstyle": "round,pad=0,rounding_size=0.12", "facecolor": face, "edgecolor": edge, "linewidth": 1.1}
    axes.add_patch(FancyBboxPatch((x, y), width, height, **style))
    middle = x + width / 2
    if text:
        axes.text(middle, y + height - 0.14, title, ha="center", va="top", weight="bold", fontsize=9.5, color=INK)
        axes.text(middle, y + height - 0.46, text, ha="center", va="top", fontsize=7.6, color=INK, linespacing=1.35)
    else:
        axes.text(middle, y + height / 2, title, ha="center", va="center", weight="bold", fontsize=9.5, color=INK)


def _arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], label: str = "", *, below: bool = False
) -> None:
    axes.annotate(
        "", end, start, arrowprops={"arrowstyle": "-|>", "color": MUTED, "linewidth": 1.2, "shrinkA": 0, "shrinkB": 0}
    )
    if label:
        x, y = (start[0] + end[0]) / 2, (start[1] + end[1]) / 2
        vertical = start[0] == end[0]
        axes.text(
            x + (0.08 if vertical else 0),
            y + (0 if vertical else -0.09 if below else 0.09),
            label,
            fontsize=7.2,
            color=MUTED,
            ha="left" if vertical else "center",
            va="center" if vertical else "top" if below else "bottom",
        )


def _canvas(figure: Figure, width: float, height: float) -> Axes:
    axes = figure.subplots()
    axes.set_xlim(0, width)
    axes.set_ylim(0, height)
    axes.set_aspect("equal")
    axes.axis("off")
    return axes


def architecture() -> bytes:
    """Blocks of the accelerator with the bit widths of ``base``."""
    spec = load_spec("base")

    def draw(figure: Figure) -> None:
        axes = _canvas(figure, 13.4, 5.1)
        top, low = 3.1, 0.55
        _box(axes, (1.1, top, 1.5, 1.5), "reader", "packet parser\nAXI4-Stream in")
        _box(
            axes,
            (3.7, top, 2.0, 1.5),
            "encoder",
            f"sorts codes by level\nnormal {spec.activation_bits} bits, salient {spec.salient_bits}\ndouble-buffered",
        )
        _box(
            axes,
            (6.9, top, 1.9, 1.5),
            "score buffers",
            f"2 x {spec.score_words} beats\nreplayed once for each\ntile of outputs",
        )
        _box(
            axes, (10.0, top, 1.8, 1.5), "sequencer", f"one beat a cycle:\nup to {spec.lanes} spikes,\nticks, doublings"
        )
        _box(
            axes,
            (9.2, low, 3.4, 1.75),
            "array",
            f"synapse memory {spec.depth} rows x {spec.neurons} x {spec.weight_bits} bits\n"
            f"{spec.neurons} integrators x {spec.lanes} lanes\n"
            f"current and charge {spec.charge_bits} bits each\nno multiplier",
            face="#fdf3dc",
            edge="#d5a94a",
        )
        _box(
            axes,
            (5.9, low, 2.1, 1.75),
            "neurons",
            f"zero point, shift by m\nmembranes {spec.membrane_bits} bits\n({spec.kept_bits} between phases)\n"
            f"{spec.membrane_slots} tokens in block RAM",
        )
        _box(
            axes,
            (3.1, low, 1.7, 1.75),
            "read-out",
            f"bias 32 bits\ntheta 32 bits,\n{spec.theta_fraction_bits} of them fraction\ncompare, subtract",
        )
        _box(axes, (1.1, low, 1.2, 1.75), "writer", "RESULT\npackets,\nAXI4-Stream\nout")
        y = top + 0.75
        _arrow(axes, (0.05, y), (1.1, y), "32 bits")
        _arrow(axes, (2.6, y), (3.7, y), "4 codes")
        _arrow(axes, (5.7, y), (6.9, y), "beats")
        _arrow(axes, (8.8, y), (10.0, y), "beats")
        _arrow(axes, (10.9, top), (10.9, low + 1.75))
        axes.text(11.0, 2.9, f"{spec.lanes} x (row, sign), step", fontsize=7.2, color=MUTED, va="center")
        y = low + 0.85
        _arrow(axes, (9.2, y), (8.0, y), f"2 charges\na cycle, {spec.charge_bits} bits")
        _arrow(axes, (5.9, y), (4.8, y), f"{spec.biased_bits} bits")
        _arrow(axes, (3.1, y), (2.3, y), f"code\n{spec.output_bits} bits")
        _arrow(axes, (1.1, y), (0.05, y), "32 bits")
        axes.plot([1.85, 1.85, 12.95, 12.95], [top, 2.6, 2.6, 1.4], color=MUTED, linewidth=1.0, linestyle=(0, (4, 2)))
        _arrow(axes, (12.95, 1.4), (12.6, 1.4))
        axes.text(2.0, 2.56, "weights, 4 bits", fontsize=7.2, color=MUTED, va="top")

    return drawn(draw, width=10.6, height=4.1, kind="svg")


def encoder() -> bytes:
    """One token from codes in input order to beats in time order."""

    def draw(figure: Figure) -> None:
        axes = _canvas(figure, 12.6, 5.0)
        levels = [3, 0, -1, 5, 3, -5, 0, 1]
        axes.text(0.1, 4.75, "levels in input order", fontsize=9, weight="bold", color=INK)
        for index, level in enumerate(levels):
            face = "#f4f5f7" if level == 0 else "#dbe7f5" if level > 0 else "#f8dfe3"
            _box(axes, (0.1 + index * 0.72, 3.75, 0.62, 0.62), f"{level}", face=face)
            axes.text(0.41 + index * 0.72, 3.62, f"k={index}", ha="center", va="top", fontsize=6.8, color=MUTED)
        axes.text(1.13, 3.2, "0 is silent: no list, no spike, no memory access", fontsize=7.5, color=MUTED, va="center")
        axes.text(0.1, 2.62, "linked lists, one for each level", fontsize=9, weight="bold", color=INK)
        for place, (level, members) in enumerate([(5, [3, 5]), (3, [0, 4]), (1, [2, 7])]):
            y = 1.85 - place * 0.8
            axes.text(0.1, y + 0.28, f"level {level}", fontsize=8, color=INK, va="center")
            x = 1.15
            for number, member in enumerate(members):
                negative = levels[member] < 0
                _box(
                    axes,
                    (x, y, 1.0, 0.56),
                    f"{'-' if negative else '+'} k={member}",
                    face="#f8dfe3" if negative else "#dbe7f5",
                )
                if number:
                    _arrow(axes, (x - 0.45, y + 0.28), (x, y + 0.28))
                x += 1.45
        _arrow(axes, (4.4, 1.3), (6.5, 1.3), "walk, highest level first")
        axes.text(6.7, 4.75, "score in time order, 2 lanes", fontsize=9, weight="bold", color=INK)
        beats = [("+3", "-5", 2), ("+0", "+4", 2), ("-2", "+7", 1)]
        for column, head in enumerate(("beat", "lane 0", "lane 1", "ticks after it")):
            axes.text(7.0 + column * 1.45, 4.25, head, fontsize=7.5, color=MUTED, ha="center")
        for number, (first, second, ticks) in enumerate(beats):
            y = 3.45 - number * 0.8
            axes.text(7.0, y + 0.28, f"{number}", ha="center", va="center", fontsize=8.5, color=INK)
            for column, spike in enumerate((first, second)):
                _box(
                    axes,
                    (7.95 + column * 1.45, y, 1.0, 0.56),
                    f"{spike[0]} k={spike[1]}",
                    face="#f8dfe3" if spike[0] == "-" else "#dbe7f5",
                )
            axes.text(11.35, y + 0.28, f"{ticks}", ha="center", va="center", fontsize=9.5, color=INK)
        axes.text(
            6.7,
            1.25,
            "Ticks bring the level down: a spike of level 5 stays in the\ncurrent for 2 + 2 + 1 = 5 ticks, "
            "one of level 1 for 1 tick.\nLater tiles of outputs replay the score without sorting again.",
            fontsize=8,
            color=MUTED,
            va="top",
            linespacing=1.4,
        )

    return drawn(draw, width=10.0, height=4.0, kind="svg")


def neuron() -> bytes:
    """Current and charge of one neuron for three inputs, from the golden model's time domain."""
    spec = Spec(neurons=8, lanes=2, depth=64, membrane_slots=2, score_words=64)
    weights = np.full((8, 4), 8, np.uint8)
    weights[0] = [11, 6, 12, 8]
    vectors = LayerVectors(
        w_code=weights,
        w_zero=np.full(8, 8, np.uint8),
        level=np.array([[5, 3, -2, 0]], np.int32),
        salient=np.zeros((1, 4), np.bool_),
        zero=np.array([8], np.uint8),
        shift=np.zeros(1, np.uint8),
        offset=np.zeros(1, np.int8),
        theta=np.full(8, 4096, np.uint32),
        bias=np.zeros(8, np.int32),
    )
    run = simulate(vectors, 0, spec, neurons=[0])
    current, charge = run.trace.current[:, 0], run.trace.membrane[:, 0]
    assert charge[-1] == run_layer(vectors, spec).membrane[0, 0]

    def draw(figure: Figure) -> None:
        spikes, above, below = figure.subplots(3, 1, sharex=True, height_ratios=(1.2, 1, 1))
        ticks = len(current)
        phase = run.program[0]
        for row, tick, sign in zip(phase.row, phase.tick, phase.sign, strict=True):
            colour = BLUE if sign > 0 else RED
            spikes.plot([tick, ticks], [row, row], color=colour, linewidth=5, alpha=0.25, solid_capstyle="butt")
            spikes.plot([tick], [row], marker="|", markersize=17, markeredgewidth=2.6, color=colour)
            weight = int(vectors.w_code[0, row]) - 8
            spikes.text(ticks + 0.08, row, f"w = {weight}, n = {int(vectors.level[0, row])}", fontsize=8, va="center")
        spikes.text(ticks + 0.08, 3, "n = 0: silent", fontsize=8, va="center", color=MUTED)
        spikes.set_yticks(range(4), [f"input {k}" for k in range(4)])
        spikes.set_ylim(3.6, -0.6)
        edges = np.arange(ticks + 1)
        above.stairs(current, edges, baseline=None, color=INK, linewidth=1.6)
        above.set_ylabel("current I")
        below.stairs(charge, edges, baseline=None, color=GREEN, linewidth=1.6)
        below.set_ylabel("charge V")
        below.set_xlabel("tick")
        for axes, values in ((above, current), (below, charge)):
            axes.grid(axis="y")
            axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
            for tick, value in enumerate(values):
                axes.text(tick + 0.5, value, f"{value}", ha="center", va="bottom", fontsize=8)
            axes.margins(y=0.25)
        below.text(ticks + 0.08, float(charge[-1]), "= 3·5 - 2·3 - 4·2", fontsize=8, va="center", color=GREEN)
        below.set_xlim(0, ticks + 1.5)

    return drawn(draw, width=7.6, height=4.4, kind="svg")


def readout() -> bytes:
    """The two read-outs of the same membrane: a descending ramp, and successive halving."""

    def draw(figure: Figure) -> None:
        ramp, halving = figure.subplots(1, 2)
        theta, membrane = 1.0, 4.4
        ticks = np.arange(8)
        ramp.stairs(
            7 - ticks[:7] * theta,
            ticks,
            baseline=None,
            color=BLUE,
            linewidth=1.8,
            label="ramp, falls by theta each tick",
        )
        ramp.axhline(membrane + 0.5, color=GREEN, linewidth=1.5, label="|V'| + theta / 2")
        ramp.plot([3.0], [membrane + 0.5], marker="o", color=RED, markersize=7, zorder=4)
        ramp.annotate("fires in tick 3:\n7 - 3 = code 4", (3.0, membrane + 0.5), (3.6, 6.0), fontsize=8.5, color=RED)
        ramp.set_title("ramp (at most 5 bits): code = first-spike time", fontsize=9)
        ramp.set_xlabel("tick")
        ramp.set_ylabel("multiples of theta")
        ramp.legend(frameon=False, fontsize=7.5, loc="lower left")
        rest, steps = membrane + 0.5, [4, 2, 1]
        for place, step in enumerate(steps):
            fits = rest >= step
            halving.bar(place - 0.18, rest, width=0.34, color=GREEN, alpha=0.8)
            halving.bar(place + 0.18, step, width=0.34, color=BLUE, alpha=0.8)
            halving.text(
                place, max(rest, step) + 0.2, f"bit {int(fits)}", ha="center", fontsize=9, color=RED if fits else MUTED
            )
            rest -= step if fits else 0
        halving.set_xticks(range(3), ["4 theta", "2 theta", "1 theta"])
        halving.set_ylim(0, 6.2)
        halving.bar([0], [0], color=GREEN, label="remaining |V'| + theta / 2")
        halving.bar([0], [0], color=BLUE, label="threshold, subtracted where it fits")
        halving.legend(frameon=False, fontsize=7.5, loc="upper right")
        halving.set_title("halving (any width): one bit a step, code 100 = 4", fontsize=9)

    return drawn(draw, width=9.4, height=3.5, kind="svg")


def token() -> bytes:
    """Spikes and membranes of a real token, from a demo in build/demo."""
    from spikequant.gen.demo.spike_plots import token_svg  # noqa: PLC0415 - optional figure
    from spikequant.gen.demo.spike_trace import load_trace  # noqa: PLC0415 - optional figure

    return token_svg(load_trace(ROOT / "build" / "demo"), load_spec("base"), inputs=576)


def waveform() -> bytes:
    """What the array of ``tiny`` does in each cycle of one token, recorded from the generated Verilog in Verilator."""
    from spikequant.cosim.diagnosis.trace_probe import PROBE, RECORD, WINDOW_OPTIONS, probe_verilog, read_records  # noqa: PLC0415
    from spikequant.cosim.simulator.build import accelerator_sources  # noqa: PLC0415
    from spikequant.cosim.simulator.device import SimulatedDevice  # noqa: PLC0415
    from spikequant.golden.layer.random_layers import random_vectors  # noqa: PLC0415
    from spikequant.rtl.driver.device import run_on_device  # noqa: PLC0415

    spec = load_spec("tiny")
    vectors = random_vectors(spec, outputs=8, inputs=16, tokens=1, salient_fraction=0.0, extremes=False, seed=3)
    sources = {**accelerator_sources(spec), f"{PROBE}.v": probe_verilog(spec, 0)}
    with SimulatedDevice(spec, sources=sources, options=WINDOW_OPTIONS) as device:
        run = run_on_device(device, vectors)
        records = read_records(spec, 0, device.folder / RECORD)
    assert (run.output.membrane == run_layer(vectors, spec).membrane).all()
    return _waves(records, int(run.output.membrane[0, 0]) - int(vectors.bias[0]))


def _step_label(value: int) -> str:
    """Spikes into the current, a tick, both at once, or the last tick of the phase."""
    from spikequant.rtl.shapes import step_layout  # noqa: PLC0415 - needs Amaranth

    flags = {name: value >> field.offset & 1 for name, field in step_layout()}
    if flags["finish"]:
        return "E"
    return "S" * flags["keep_current"] + "T" * flags["keep_charge"]


def _waves(records: Any, membrane: int) -> bytes:
    cycle = records.cycle - records.cycle[0]

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        last = int(cycle[-1]) + 1
        names = []
        height = 0.0

        def bus(name: str, values: list[str], colour: str) -> None:
            nonlocal height
            for place, text in enumerate(values):
                start = int(cycle[place])
                end = int(cycle[place + 1]) if place + 1 < len(values) else start + 1
                active = text not in ("", "0")
                axes.fill_between(
                    [start, end], height - 0.3, height + 0.3, color=colour, alpha=0.28 if active else 0.06, linewidth=0
                )
                if place == 0 or text != values[place - 1]:
                    axes.plot([start, start], [height - 0.3, height + 0.3], color=colour, linewidth=0.8)
                if text and (place == 0 or text != values[place - 1] or name.startswith("lane")):
                    axes.text(start + 0.12, height, text, fontsize=6.6, va="center", color=INK)
            names.append((height, name))
            height -= 0.95

        axes.plot(
            np.repeat(np.arange(last * 2 + 1) / 2, 2)[1:-1],
            np.tile([0.3, 0.3, -0.3, -0.3], last)[: last * 4] * 1.0,
            color=MUTED,
            linewidth=0.9,
        )
        names.append((0.0, "clk"))
        height = -0.95
        for lane in range(records.fire.shape[1]):
            text = [
                f"{'-' if records.sign[i, lane] else '+'}{records.row[i, lane]}" if records.fire[i, lane] else ""
                for i in range(len(cycle))
            ]
            bus(f"lane {lane}: sign, row", text, BLUE)
        bus("issued step", [_step_label(int(value)) for value in records.issued], AMBER)
        bus("neuron step", [_step_label(int(value)) for value in records.step], AMBER)
        bus("current I", [str(value) for value in records.current], "#7b4fa3")
        bus("charge V", [str(value) for value in records.charge], GREEN)
        bus(
            "membrane write",
            [str(value) if stored >= 0 else "" for value, stored in zip(records.membrane, records.stored, strict=True)],
            RED,
        )
        axes.set_yticks([place for place, _ in names], [name for _, name in names])
        axes.tick_params(axis="y", length=0)
        axes.set_xlim(0, last)
        axes.set_ylim(height + 0.4, 0.7)
        axes.set_xlabel(
            f"clock cycle (S spikes, T tick, ST both, E last tick of the phase); membrane without bias: {membrane}"
        )
        for spine in axes.spines.values():
            spine.set_visible(False)

    return drawn(draw, width=11.0, height=3.4, kind="svg")


FIGURES: dict[str, Callable[[], bytes]] = {
    "architecture": architecture,
    "encoder": encoder,
    "neuron": neuron,
    "readout": readout,
    "token": token,
    "waveform": waveform,
}


def main(chosen: list[str]) -> None:
    """Write the chosen figures as SVG; all if none is named."""
    IMAGES.mkdir(exist_ok=True)
    for name in chosen or FIGURES:
        (IMAGES / f"{name}.svg").write_bytes(FIGURES[name]())
        print(IMAGES / f"{name}.svg")


if __name__ == "__main__":
    main(sys.argv[1:])
