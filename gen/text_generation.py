"""Text from a language model whose linear layers run in floats, in integers, in simulation, or on a board."""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from os import cpu_count
from typing import Any

from spikequant.cosim.device_pool import Crew, Work, simulated_crew
from spikequant.fpga.host.resident import ResidentLayers
from spikequant.fpga.sdram.timing import SdramChip
from spikequant.gen.board_connection import Line, board_accelerator
from spikequant.golden.evaluation.offload import offload_fused, offload_layers
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.models.continuation import Continuation, continue_prompt
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.progress import progress_bar


class TextFigures(Figures):
    """Figures of a continued prompt.

    Attributes:
        backend: what ran the linear layers.
        config: preset or file of the accelerator.
        prompt: the prompt.
        codes: whether layers return output codes rather than membranes.
        memory: SDRAM of the board; None without one.
        ok: no mismatch, no saturated output, and text and logits of the integers.
        text: the new tokens as text.
        tokens: ids of the new tokens.
        new_tokens, prompt_tokens: counts of tokens.
        seconds_per_token: mean wall time of a token that ran alone.
        seconds: wall time of all tokens.
        logits_sha256: of the float32 logits of all new tokens.
        reference_text: text of the float model; None if it was not wanted.
        equal_to_golden: whether text and logits are those of the integers; None without hardware, as are all below.
        layers: runs of layers; those that run as one with others count too.
        outputs, mismatches, saturated: counts of outputs.
        first_mismatch: one line; empty if there is none.
        cycles: clock cycles of all devices.
        cycles_per_token: mean over the tokens that ran.
        sim_cycles_per_second: speed of one device.
    """

    backend: str
    config: str
    prompt: str
    codes: bool
    memory: str | None
    ok: bool
    text: str
    tokens: list[int]
    new_tokens: int
    prompt_tokens: int
    seconds_per_token: float
    seconds: float
    logits_sha256: str
    reference_text: str | None = None
    equal_to_golden: bool | None = None
    layers: int | None = None
    outputs: int | None = None
    mismatches: int | None = None
    saturated: int | None = None
    first_mismatch: str | None = None
    cycles: int | None = None
    cycles_per_token: float | None = None
    sim_cycles_per_second: float | None = None


@dataclass(frozen=True)
class Written:
    """A prompt that was continued.

    Attributes:
        found: the continuation by the chosen backend.
        golden: the same in integers; None for the float model.
        floats: the float model's; None if it was not wanted.
        work: counters of the hardware; None without it.
    """

    found: Continuation
    golden: Continuation | None
    floats: Continuation | None
    work: Work | None

    @property
    def equal(self) -> bool:
        """Whether text and logits are those of the integers; True for the float model."""
        return self.golden is None or self.found.equals(self.golden)

    @property
    def ok(self) -> bool:
        """Whether everything that was compared is equal, and nothing is saturated."""
        return self.equal and (self.work is None or not (self.work.mismatches or self.work.saturated))

    def figures(self, *, backend: str, config: str, prompt: str, codes: bool, memory: str | None) -> TextFigures:
        """Figures for JSON."""
        found, work = self.found, self.work
        hardware: dict[str, Any] = {}
        if work is not None:
            hardware = {
                "equal_to_golden": self.equal,
                "layers": work.layers,
                "outputs": work.outputs,
                "mismatches": work.mismatches,
                "saturated": work.saturated,
                "first_mismatch": work.first,
                "cycles": work.cycles,
                "cycles_per_token": work.cycles / (found.prompt_tokens + len(found.tokens) - 1),
                "sim_cycles_per_second": work.cycles / work.simulated_seconds,
            }
        return TextFigures(
            backend=backend,
            config=config,
            prompt=prompt,
            codes=codes,
            memory=memory,
            ok=self.ok,
            text=found.text,
            tokens=found.tokens,
            new_tokens=len(found.tokens),
            prompt_tokens=found.prompt_tokens,
            seconds_per_token=found.seconds_per_token,
            seconds=sum(found.seconds),
            logits_sha256=sha256(found.logits.numpy().tobytes()).hexdigest(),
            reference_text=self.floats.text if self.floats and self.floats is not found else None,
            **hardware,
        )

    def lines(self, *, backend: str, prompt: str, reference: str | None) -> list[str]:
        """Text and counters for the terminal."""
        found, work = self.found, self.work
        lines = [f"{prompt}{found.text}\n"]
        if self.floats and self.floats is not found:
            lines.append(f"{reference}: {prompt}{self.floats.text}\n")
        lines.append(f"{len(found.tokens)} tokens, {found.seconds_per_token:.2f} s each, backend {backend}")
        if work is not None:
            speed = work.cycles / work.simulated_seconds / 1e3
            lines += [
                f"{work.layers} layers run, {work.outputs} outputs, {work.mismatches} mismatches, "
                f"{work.saturated} saturated",
                f"text and logits {'identical to' if self.equal else 'DIFFERENT FROM'} the integers",
                f"{work.cycles} cycles, {speed:.0f} thousand cycles/s per device",
            ]
            if work.first:
                lines.append(f"first mismatch: {work.first}")
        return lines


Stage = Callable[[str], None]
"""Called with a description of each step before it starts."""

Devices = Callable[[Stage], AbstractContextManager[Crew]]
"""Opens the devices that run the linear layers."""


def simulators(spec: Spec, workers: int | None) -> Devices:
    """Simulators of the generated Verilog, one per core by default."""

    def devices(stage: Stage) -> AbstractContextManager[Crew]:
        stage("building the simulator")
        return simulated_crew(spec, workers or cpu_count() or 1)

    return devices


def board(spec: Spec, line: Line, chip: SdramChip | None, *, codes: bool) -> Devices:
    """One board, which keeps as many layers as fit in its memory, if it has one; results are codes alone, or whole."""

    @contextmanager
    def devices(stage: Stage) -> Iterator[Crew]:
        opened = board_accelerator(spec, line, chip=chip, stage=stage)
        with opened as accelerator, ThreadPoolExecutor(2) as threads:
            yield Crew(spec, [ResidentLayers(accelerator, brief=codes).run], threads)

    return devices


@contextmanager
def linear_layers(
    model: LanguageModel,
    spec: Spec,
    devices: Devices | None,
    *,
    codes: bool,
    stage: Stage = lambda _: None,
    watch: Callable[[Mapping[str, LayerVectors]], None] = lambda _: None,
) -> Iterator[Work | None]:
    """Run a quantized model's linear layers on devices within a ``with`` block; yields the counters of these.

    Args:
        model: a quantized model.
        spec: of the accelerator.
        devices: hardware for the layers; None runs them in integers, without counters.
        codes: layers return output codes rather than membranes.
        stage: called with a description of each step before it starts.
        watch: called with the layers of each run before it, by name.

    Raises:
        InputError: a tool is missing, or the board holds another accelerator.
        SimulationError, LinkError, PacketError, ToolError: the hardware failed.
    """
    with ExitStack() as stack:
        crew = stack.enter_context(devices(stage)) if devices else None

        def run_one(name: str, vectors: LayerVectors) -> LayerOutput:
            watch({name: vectors})
            return run_layer(vectors, spec)

        def run_fused(layers: Mapping[str, LayerVectors]) -> Mapping[str, LayerOutput]:
            assert crew is not None
            watch(layers)
            return crew.run_fused(layers)

        if crew:
            stack.enter_context(offload_fused(model.model, spec, run_fused, codes=codes))
        else:
            stack.enter_context(offload_layers(model.model, spec, run_one, codes=codes))
        yield crew.work if crew else None


def write_text(
    model: LanguageModel,
    prompt: str,
    tokens: int,
    *,
    spec: Spec | None,
    floats: Callable[[], LanguageModel] | None = None,
    devices: Devices | None = None,
    codes: bool = True,
) -> Written:
    """Continue a prompt, with a progress bar.

    Args:
        model: a quantized model.
        prompt: plain text.
        tokens: most new tokens.
        spec: of the accelerator; None runs only the float model.
        floats: loads the float model; None if it is not wanted.
        devices: hardware for the linear layers; None for the integers alone.
        codes: layers return output codes rather than membranes.

    Raises:
        InputError: the prompt does not fit, or a tool is missing.
        SimulationError, LinkError, PacketError, ToolError: the hardware failed.
    """
    with progress_bar() as bar:
        task = bar.add_task("")

        def write(writer: LanguageModel, description: str) -> Continuation:
            bar.reset(task, description=description, total=tokens)
            return continue_prompt(writer, prompt, tokens, progress=lambda done: bar.update(task, completed=done))

        float_text = golden = work = None
        if floats is not None:
            float_text = write(floats(), "writing in floats")
        if spec is not None:
            with linear_layers(model, spec, None, codes=codes):
                golden = write(model, "writing in integers")
        found = golden or float_text
        if spec is not None and devices is not None:
            bar.reset(task, description="starting", total=None)
            started = linear_layers(
                model, spec, devices, codes=codes, stage=lambda step: bar.update(task, description=step)
            )
            with started as work:
                found = write(model, "writing in hardware")
    assert found is not None
    return Written(found, golden, float_text, work)
