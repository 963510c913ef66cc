"""Probe in the generated Verilog: records the array's activity for one neuron, and writes a waveform of a window."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from amaranth.lib import data
from numpy.typing import NDArray

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.array import GROUP
from spikequant.rtl.integrator import IntegratorGroup
from spikequant.rtl.shapes import bits_for_index, cycle_layout, membrane_layout, size_of, step_layout

PROBE = "probe"
"""Name of the probe's module and of its file."""

RECORD = "probe.txt"
WAVES = "window.vcd"

WINDOW_OPTIONS = ("--trace-vcd", "--trace-structs", "--no-trace-top")
"""Verilator's options for a build that can write waveforms."""


@dataclass(frozen=True)
class Place:
    """Place of a neuron in the design's hierarchy."""

    cluster: int
    group: int
    number: int

    @classmethod
    def of(cls, spec: Spec, neuron: int) -> "Place":
        """Return the place of a neuron of the array, counted from 0."""
        cluster, own = divmod(neuron, spec.cluster.neurons)
        return cls(cluster=cluster, group=own // GROUP, number=own % GROUP)


@dataclass(frozen=True)
class Records:
    """Records of a probe, one row per active cycle; all int64.

    Attributes:
        cycle: [C], clock cycles since the end of reset.
        fire, sign, row: [C, lanes], spikes on their way to the array: 1 where a lane fires, 1 where its spike is
            negative, and its row in the memory of its pair.
        issued: [C], steps on their way to the array, as bits of ``step_layout``.
        step: [C], the step that the neuron makes in this cycle.
        current, charge: [C], current and charge of the neuron before that step, without the reference neuron's offset.
        stored: [C], slot of the neuron's membrane that is stored; -1 where none is.
        membrane: [C], value that is stored.
    """

    cycle: NDArray[np.int64]
    fire: NDArray[np.int64]
    sign: NDArray[np.int64]
    row: NDArray[np.int64]
    issued: NDArray[np.int64]
    step: NDArray[np.int64]
    current: NDArray[np.int64]
    charge: NDArray[np.int64]
    stored: NDArray[np.int64]
    membrane: NDArray[np.int64]


def _signals(spec: Spec, neuron: int) -> dict[str, tuple[int, str]]:
    """Return width and Verilog expression of each signal of the probe, by name."""
    place = Place.of(spec, neuron)
    top = "burst.accelerator"
    cluster = f"{top}.cluster_{place.cluster}"
    group, reference = f"{cluster}.array.group_{place.group}", f"{cluster}.array.reference"
    membranes = f"{cluster}.backend.neurons.membranes"
    layout = cycle_layout(spec)
    row_bits = bits_for_index(spec.memory_rows)
    delayed = f"step_{IntegratorGroup.latency(spec)}"

    def part(name: str, start: int, width: int) -> tuple[int, str]:
        return width, f"{top}.sequencer.cycle[{layout[name].offset + start} +: {width}]"

    found: dict[str, tuple[int, str]] = {}
    for lane in range(spec.lanes):
        found[f"lane_{lane}_fires"] = part("fire", lane, 1)
        found[f"lane_{lane}_negative"] = part("sign", lane, 1)
        found[f"lane_{lane}_row"] = part("row", lane * row_bits, row_bits)
    found["issued_step"] = part("step", 0, size_of(step_layout()))
    found["step"] = (size_of(step_layout()), f"{group}.{delayed}")
    for name, scope, number in (("neuron", group, place.number), ("reference", reference, 0)):
        found[f"{name}_current"] = (spec.charge_bits, f"{scope}.current_{number}")
        found[f"{name}_charge"] = (spec.charge_bits, f"{scope}.charge_{number}")
    address_bits = bits_for_index(spec.cluster.neurons) + bits_for_index(spec.membrane_slots)
    found["membrane_is_stored"] = (1, f"{membranes}.write_enable")
    found["membrane_address"] = (address_bits, f"{membranes}.write_address")
    found["membrane_stored"] = (size_of(membrane_layout(spec)), f"{membranes}.write_data")
    return found


def probe_verilog(spec: Spec, neuron: int) -> str:
    """Write the probe's Verilog; its waveform begins in the cycle of the plus-argument ``from``.

    Args:
        spec: the accelerator inside ``burst.v``.
        neuron: neuron of the array to record.
    """
    signals = _signals(spec, neuron)
    wires = "\n".join(f"  wire [{bits - 1}:0] {name} = {source};" for name, (bits, source) in signals.items())
    formats = " ".join(["%0d", *("%h" for _ in signals)])
    names = ", ".join(["burst.cycles", *signals])
    return f"""// Records the array's activity for one neuron, and writes a waveform of a window.
module {PROBE};
{wires}
  integer sink;
  reg [63:0] from;
  reg was_active = 0, dumping = 0;
  wire active = |issued_step | |step | membrane_is_stored;
  initial begin
    sink = $fopen("{RECORD}", "w");
    if (!$value$plusargs("from=%d", from)) from = -1;
  end
  always @(posedge burst.clk) begin
    was_active <= active;
    if (burst.running && (active || was_active)) begin
      $fwrite(sink, "{formats}\\n", {names});
      $fflush(sink);
    end
    if (burst.running && !dumping && burst.cycles >= from) begin
      dumping = 1;
      $dumpfile("{WAVES}");
      $dumpvars;
    end
  end
endmodule
bind burst {PROBE} {PROBE}_of_neuron ();
"""


def named_signals(spec: Spec, neuron: int) -> list[tuple[str, int]]:
    """Return names, as in the waveform, and widths of the probe's signals."""
    return [(f"{PROBE}_of_neuron.{name}", bits) for name, (bits, _) in _signals(spec, neuron).items()]


def _signed(values: NDArray[np.int64], bits: int) -> NDArray[np.int64]:
    low = values & ((1 << bits) - 1)
    return low - ((low >> (bits - 1)) << bits)


def read_records(spec: Spec, neuron: int, path: Path) -> Records:
    """Read the file that a probe of the neuron wrote."""
    names = ["cycle", *_signals(spec, neuron)]
    rows = [
        [int(word, 10 if place == 0 else 16) for place, word in enumerate(line.split())]
        for line in path.read_text(encoding="ascii").splitlines()
        if line.count(" ") == len(names) - 1
    ]
    table = np.array(rows, np.int64).reshape(-1, len(names))
    # a reset leaves a step in the array, before the first one that is issued
    table = table[np.cumsum(table[:, names.index("issued_step")] != 0) > 0]
    column = dict(zip(names, table.T, strict=True))

    def lanes(name: str) -> NDArray[np.int64]:
        return np.stack([column[f"lane_{lane}_{name}"] for lane in range(spec.lanes)], axis=1)

    layout = data.Layout.cast(membrane_layout(spec))
    value = column["membrane_stored"] >> layout["value"].offset
    own = neuron % spec.cluster.neurons
    neuron_bits = bits_for_index(spec.cluster.neurons)
    address = column["membrane_address"]
    ours = (column["membrane_is_stored"] == 1) & (address & ((1 << neuron_bits) - 1) == own)
    return Records(
        cycle=column["cycle"],
        fire=lanes("fires"),
        sign=lanes("negative"),
        row=lanes("row"),
        issued=column["issued_step"],
        step=column["step"],
        current=_signed(column["neuron_current"] - column["reference_current"], spec.charge_bits),
        charge=_signed(column["neuron_charge"] - column["reference_charge"], spec.charge_bits),
        stored=np.where(ours, address >> neuron_bits, -1),
        membrane=_signed(value, spec.kept_bits),
    )
