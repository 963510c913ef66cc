"""Independent jobs of a sweep, for any process on any machine.

A job's result depends on the job alone, so a job may run twice.
"""

from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from pydantic import ConfigDict

import spikequant.fpga
from spikequant.fpga.boards import DEFAULT_BAUD, find_board
from spikequant.fpga.build.build import best, find_tools, make_plan, place_and_route_seeds, synthesize
from spikequant.fpga.toolchain import ToolError
from spikequant.golden.checkpoint.checkpoint import load_checkpoint
from spikequant.golden.energy.activity import check_runnable, measure_activity
from spikequant.golden.energy.methods import FIRST_SPIKE
from spikequant.golden.energy.report import evaluate_energy
from spikequant.golden.evaluation.accuracy import measure_accuracy
from spikequant.golden.evaluation.methods import Calibration
from spikequant.golden.evaluation.pipeline import quantize_to_folder
from spikequant.golden.evaluation.trace import catch_inputs
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.tiling import token_tiles
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.models.model import check_context, load_model
from spikequant.golden.models.reading import model_windows
from spikequant.golden.models.text import evaluation_corpus
from spikequant.golden.quantizer.linear import quantized_layers
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.digest import digest_sources, digest_versions
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import cached_build, default_cache_folder, digest_of
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.cycles.throughput import SPIKING, Counted, layer_cycles
from spikequant.rtl.cycles.token_cost import resident_costs
from spikequant.rtl.verilog import generate_verilog

QUANTIZED, SCORE, WINDOW = "checkpoint", "score.json", "window.npy"
"""Files of a quantized model: the checkpoint, its score, and the first window of tokens that it was scored on."""


class Result(Figures):
    """Result of a job."""

    model_config = ConfigDict(extra="forbid")


class Accuracy(Result):
    """Accuracy of a quantized model on held-out text."""

    perplexity: float


class Activity(Result):
    """Cost of one token on an array: clock cycles, and energy by the first energy model."""

    cycles: float
    picojoules: float


class Hardware(Result):
    """Resources and clock of a routed design, or a note why there is none."""

    luts: int | None = None
    ebrs: int | None = None
    fmax_mhz: float | None = None
    note: str = ""


@dataclass(frozen=True)
class AccuracyJob:
    """Quantize a model and score it.

    Attributes:
        model: float model.
        model_digest: of its parameters.
        recipe: recipe of the quantizer.
        calibration_tokens: tokens of calibration text.
        scored_tokens: tokens of held-out text.
        context: tokens in a window.
        sources: digest of the quantizer's source code when the sweep began.
        cache: folder on the machine that runs the job; the user's cache folder by default.
    """

    model: str
    model_digest: str
    recipe: Recipe
    calibration_tokens: int
    scored_tokens: int
    context: int
    sources: str
    cache: Path | None = None

    @property
    def digest(self) -> str:
        """Digest of everything that the result depends on."""
        numbers = (self.calibration_tokens, self.scored_tokens, self.context)
        return digest_of(
            [
                "accuracy",
                self.model_digest,
                self.recipe.model_dump_json(),
                repr(numbers),
                digest_versions(),
                self.sources,
            ]
        )

    def folder(self) -> Path:
        """Folder of the quantized model and its score, made now if it is not cached."""

        def build(folder: Path) -> None:
            model = load_model(self.model)
            check_context(model.model, self.context)
            calibration = Calibration(None, self.calibration_tokens, self.context)
            quantize_to_folder(model, self.recipe, calibration, folder / QUANTIZED)
            read = model_windows(model, evaluation_corpus(), tokens=self.scored_tokens, context=self.context)
            found = Accuracy(perplexity=measure_accuracy(model.model, read.windows, scored=read.scored).perplexity)
            np.save(folder / WINDOW, read.windows[0].numpy())
            (folder / SCORE).write_text(found.model_dump_json(), encoding="utf-8")

        return cached_build(self.cache or default_cache_folder(), "quantized", self.digest, build)

    def run(self) -> Accuracy:
        """Quantize and score."""
        return Accuracy.model_validate_json((self.folder() / SCORE).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class ActivityJob:
    """Count cycles and energy of a quantized model's tokens on an array.

    Energy is the mean over the first window that the model was scored on.

    Attributes:
        quantized: job that makes the model.
        spec: the accelerator.
        tokens: tokens of the window whose cycles are counted.
    """

    quantized: AccuracyJob
    spec: Spec
    tokens: int

    @property
    def digest(self) -> str:
        """Digest of everything that the result depends on."""
        return digest_of(["activity", self.quantized.digest, self.spec.model_dump_json(), str(self.tokens)])

    def run(self) -> Activity:
        """Count cycles and energy over all layers.

        Raises:
            InputError: the spec does not fit the recipe.
        """
        folder = self.quantized.folder()
        model = load_checkpoint(folder / QUANTIZED).language_model
        check_runnable(model, self.spec)
        window = torch.from_numpy(np.load(folder / WINDOW, allow_pickle=False))
        layers = quantized_layers(model.model)
        inputs = catch_inputs(model.model, layers, [window])
        cycles = 0
        for name, layer in layers.items():
            cycles += _cycles(self.spec, layer.vectors(inputs[name][: self.tokens], self.spec))
        report = evaluate_energy(measure_activity(model, [window], spec=self.spec), self.spec)
        energy = report.models[0].energy[FIRST_SPIKE.name]
        return Activity(cycles=cycles / self.tokens, picojoules=energy.picojoules)


def _cycles(spec: Spec, vectors: LayerVectors) -> int:
    """Clock cycles of a layer's tokens, including all stalls, without loading weights and constants."""
    tiles = [token_tiles(vectors, token, spec) for token in range(vectors.tokens)]
    return layer_cycles(
        spec,
        resident_costs(spec, vectors, tiles),
        output_tiles=-(-vectors.outputs // spec.neurons),
        counted=Counted(),
        latencies=SPIKING,
    )


@dataclass(frozen=True)
class HardwareJob:
    """Place and route an accelerator for a board.

    Attributes:
        spec: the accelerator.
        verilog_digest: of its Verilog.
        sources: digest of the build's source code when the sweep began.
        board: the board's name.
        frequency_mhz: clock to aim at.
        seeds: number of placements; the best one counts.
        cache: folder on the machine that runs the job; the user's cache folder by default.
    """

    spec: Spec
    verilog_digest: str
    sources: str
    board: str
    frequency_mhz: float
    seeds: int
    cache: Path | None = None

    @classmethod
    def of(cls, spec: Spec, board: str, *, frequency_mhz: float, seeds: int, cache: Path | None) -> "HardwareJob":
        """Make a job whose digest covers the spec's Verilog."""
        verilog = digest_of([generate_verilog(spec)])
        return cls(spec, verilog, digest_sources(spikequant.fpga), board, frequency_mhz, seeds, cache)

    @property
    def digest(self) -> str:
        """Digest of everything that the result depends on."""
        wanted = (self.board, self.frequency_mhz, self.seeds)
        return digest_of(["hardware", self.verilog_digest, repr(wanted), repr(find_tools().versions()), self.sources])

    def run(self) -> Hardware:
        """Build the design."""
        cache, tools = self.cache or default_cache_folder(), find_tools()
        try:
            plan = make_plan(
                lambda: Accelerator(self.spec),
                board=find_board(self.board),
                frequency_hz=self.frequency_mhz * 1e6,
                baud=DEFAULT_BAUD,
            )
            routed = best(
                place_and_route_seeds(
                    plan,
                    tools,
                    synthesize(plan, tools, cache=cache),
                    seeds=range(1, self.seeds + 1),
                    jobs=1,
                    cache=cache,
                    progress=lambda _: None,
                )
            )
        except (InputError, ToolError) as error:
            return Hardware(note=str(error).splitlines()[0])
        used = routed.report.used
        return Hardware(luts=used.luts, ebrs=used.ebrs, fmax_mhz=routed.report.critical.achieved_mhz)


SweepJob = AccuracyJob | ActivityJob | HardwareJob


def run_job(job: SweepJob) -> Result:
    """Run a job in a worker, with its progress output suppressed."""
    with redirect_stderr(StringIO()):
        return job.run()
