"""What a demo found out, as the JSON file that its report is made from."""

from pathlib import Path

from pydantic import BaseModel, ConfigDict

from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import write_text
from spikequant.golden.support.json_files import read_json

RECORD = "report.json"
"""Name of the file in a demo's folder."""


class _Facts(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TokenFacts(_Facts):
    """One token at the layer's input.

    Attributes:
        text: of the token.
        salient: inputs with a salient code.
        silent: inputs at level 0, which fire nothing.
        shift: power of two m of the salient codes.
        spikes: that the token fires in one pass, low halves of wide columns included and each of a burst counted.
        ticks: that its phases take.
    """

    text: str
    salient: int
    silent: int
    shift: int
    spikes: int
    ticks: int


class Comparison(_Facts):
    """The simulated Verilog's outputs against the same outputs reached another way.

    Attributes:
        against: what they are compared with, in a few words.
        how: what is compared, in one sentence.
        equal: outputs that are equal bit for bit.
        outputs: outputs compared.
    """

    against: str
    how: str
    equal: int
    outputs: int


class SimulationFacts(_Facts):
    """The co-simulation; see ``spikequant.cosim.layer.LayerReport``.

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
    """How many of one kind of cell a design uses, and how many the device has."""

    name: str
    used: int
    available: int


class DeviceFacts(_Facts):
    """The design on a board.

    Attributes:
        board: its name.
        device: the FPGA on it.
        resources: used and available.
        wanted_mhz: frequency of the clock.
        seeds: placement seeds.
        fmax_mhz: what each seed reaches.
        chosen: index of the seed that was kept.
        timing_met: it reaches the wanted frequency.
        bitstream_sha256: None where none was made, because timing failed.
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
        holds: what is in it, in a few words.
        size: bytes.
        sha256: of its content.
    """

    path: str
    holds: str
    size: int
    sha256: str


class DemoRecord(_Facts):
    """A whole demo.

    Attributes:
        config: preset or file the spec is from.
        spec: the accelerator.
        model: what the language model is called.
        layer: name of the quantized layer.
        outputs: N of the layer.
        inputs: K of the layer.
        wide_columns: inputs with 8-bit weights.
        calibration: one line about the calibration text.
        text: one line about the text of the tokens.
        tokens: the tokens that went through the layer.
        shown: index of the token whose spikes the report shows.
        salient_ratio: share of salient inputs over all tokens, 0..1.
        silent_ratio: share of inputs at level 0 over all tokens, 0..1.
        comparisons: of the simulated Verilog's outputs.
        simulation: figures of the co-simulation.
        device: None where no bitstream was asked for.
        seconds: wall time by step, in order.
        versions: of everything that took part, by name.
        files: that were written.
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
        """Every output of the simulated Verilog is equal to what it is compared with, and none is saturated."""
        return not self.mismatches and not self.simulation.saturated

    @property
    def ok(self) -> bool:
        """Bit-exact, and fast enough where a bitstream was asked for."""
        return self.exact and (self.device is None or self.device.timing_met)


def save_record(folder: Path, record: DemoRecord) -> None:
    """Write the record, whole or not at all."""
    write_text(folder / RECORD, record.model_dump_json(indent=2) + "\n")


def load_record(folder: Path) -> DemoRecord:
    """Read the record of a demo.

    Raises:
        InputError: there is none, or it is not valid.
    """
    path = folder / RECORD
    record = read_json(path, DemoRecord, what="report", expected="a demo's folder")
    if not 0 <= record.shown < len(record.tokens):
        raise InputError(f"report {path}: shown is {record.shown}, expected 0..{len(record.tokens) - 1}")
    return record
