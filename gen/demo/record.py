"""Record of a demo: the JSON file from which its report is rendered."""

from pathlib import Path

from pydantic import ConfigDict

from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures

RECORD = "report.json"
"""Name of the file in a demo's folder."""


class _Facts(Figures):
    model_config = ConfigDict(extra="forbid")


class TokenFacts(_Facts):
    """One token at the layer's input.

    Attributes:
        text: the token as text.
        salient: number of inputs with a salient code.
        silent: number of inputs at level 0, which fire no spike.
        shift: shift m of the salient codes.
        spikes: spikes fired in one pass, including low halves of wide columns; every spike of a burst counts.
        ticks: length of all phases.
    """

    text: str
    salient: int
    silent: int
    shift: int
    spikes: int
    ticks: int


class Comparison(_Facts):
    """Comparison of the simulated Verilog's outputs with the same outputs computed another way.

    Attributes:
        against: the other way, in a few words.
        how: what is compared, in one sentence.
        equal: number of outputs that are equal bit for bit.
        outputs: number of outputs compared.
    """

    against: str
    how: str
    equal: int
    outputs: int


class SimulationFacts(_Facts):
    """Figures of the co-simulation, as in ``spikequant.cosim.layer.LayerReport``.

    Attributes:
        first_mismatch: one line, empty if there is none.
    """

    cycles: int
    spikes: int
    beats: int
    lane_utilisation: float
    sim_cycles_per_second: float
    saturated: int
    first_mismatch: str


class ResourceFacts(_Facts):
    """Number of cells of one kind that a design uses, and that the device has."""

    name: str
    used: int
    available: int


class DeviceFacts(_Facts):
    """The design on a board.

    Attributes:
        board: its name.
        device: the FPGA on it.
        resources: used and available.
        wanted_mhz: clock that the build aimed at.
        seeds: placement seeds.
        fmax_mhz: highest clock for each seed.
        chosen: index of the seed that was kept.
        timing_met: whether that seed reaches the wanted clock.
        bitstream_sha256: None if there is no bitstream because timing failed.
    """

    board: str
    device: str
    resources: list[ResourceFacts]
    wanted_mhz: float
    seeds: list[int]
    fmax_mhz: list[float]
    chosen: int
    timing_met: bool
    bitstream_sha256: str | None


class FileFacts(_Facts):
    """A file in the demo's folder.

    Attributes:
        path: relative to the folder, with ``/``.
        holds: its content, in a few words.
        size: bytes.
        sha256: of its content.
    """

    path: str
    holds: str
    size: int
    sha256: str


class DemoRecord(_Facts):
    """Everything that a demo found out.

    Attributes:
        config: preset or file of the spec.
        spec: the accelerator.
        model: name of the language model.
        layer: name of the quantized layer.
        outputs: N of the layer.
        inputs: K of the layer.
        wide_columns: inputs with 8-bit weights.
        calibration: one line about the calibration text.
        text: one line about the text of the tokens.
        tokens: the tokens that went through the layer.
        shown: index of the token whose spikes the report shows.
        salient_ratio: fraction of salient inputs over all tokens, 0..1.
        silent_ratio: fraction of inputs at level 0 over all tokens, 0..1.
        comparisons: of the simulated Verilog's outputs.
        simulation: figures of the co-simulation.
        device: the design on the board; None if no bitstream was wanted.
        seconds: wall time by step, in order.
        versions: of all tools and packages involved, by name.
        files: written by the demo.
    """

    config: str
    spec: Spec
    model: str
    layer: str
    outputs: int
    inputs: int
    wide_columns: int
    calibration: str
    text: str
    tokens: list[TokenFacts]
    shown: int
    salient_ratio: float
    silent_ratio: float
    comparisons: list[Comparison]
    simulation: SimulationFacts
    device: DeviceFacts | None
    seconds: dict[str, float]
    versions: dict[str, str]
    files: list[FileFacts]

    @property
    def mismatches(self) -> int:
        """Outputs that differ, over all comparisons."""
        return sum(item.outputs - item.equal for item in self.comparisons)

    @property
    def exact(self) -> bool:
        """Whether every output of the simulated Verilog is equal to the others, and none is saturated."""
        return not self.mismatches and not self.simulation.saturated

    @property
    def ok(self) -> bool:
        """Whether the demo is bit-exact, and the bitstream, if one was wanted, meets timing."""
        return self.exact and (self.device is None or self.device.timing_met)


def load_record(folder: Path) -> DemoRecord:
    """Read the record of a demo.

    Raises:
        InputError: there is none, or it is invalid.
    """
    path = folder / RECORD
    record = DemoRecord.read(path, what="report", expected="a demo's folder")
    if not 0 <= record.shown < len(record.tokens):
        raise InputError(f"report {path}: shown is {record.shown}, expected 0..{len(record.tokens) - 1}")
    return record
