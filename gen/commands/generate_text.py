"""The command ``generate-text``."""

# Commands import what they need when they run, so that --help answers at once; their options have names anyway.

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spikequant.fpga.boards import DEFAULT_BAUD
from spikequant.golden.support.options import JsonFile, SpecName

if TYPE_CHECKING:
    from rich.progress import Progress

    from spikequant.cosim.device_pool import Crew, Work
    from spikequant.fpga.sdram.timing import SdramChip
    from spikequant.golden.layer.spec import Spec
    from spikequant.golden.models.continuation import Continuation
    from spikequant.golden.models.model import LanguageModel


class Backend(StrEnum):
    """What computes the linear layers."""

    RTL = "rtl"
    BOARD = "board"
    GOLDEN = "golden"
    FP = "fp"


def generate_text(
    checkpoint: Annotated[Path, typer.Option(metavar="DIR", help="a quantized model")],
    prompt: Annotated[str, typer.Option(help="text to go on from")],
    backend: Annotated[
        Backend,
        typer.Option(
            help="rtl: the generated Verilog, simulated; board: behind --port; golden: integers; fp: the float model"
        ),
    ] = Backend.RTL,
    config: SpecName = "base",
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="tokens to write at most")] = 20,
    codes: Annotated[bool, typer.Option("--codes", help="layers give output codes, not membranes")] = False,
    reference: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="float model, to show its text beside", show_default="for fp: as quantized"),
    ] = None,
    port: Annotated[
        str | None,
        typer.Option(
            metavar="PORT|sim", help="serial port of the board, or sim for a virtual board", show_default=False
        ),
    ] = None,
    baud: Annotated[int, typer.Option(min=1, help="bits a second on the board's serial line")] = DEFAULT_BAUD,
    memory: Annotated[
        str | None,
        typer.Option(
            metavar="CHIP",
            help="the board's SDRAM of that name keeps layers once they have run, as many as it holds",
            show_default=False,
        ),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="simulators that share a layer", show_default="one a core")
    ] = None,
    json_file: JsonFile = None,
) -> None:
    """Continue a prompt, every linear layer of the decoder on the chosen backend, the rest in PyTorch.

    With rtl and board, every output of every layer is compared with the integers, and text and logits with those of
    golden. A board's line carries the weights of all layers that --memory does not keep for every token, so that a
    large model takes long there.
    Exit status 0 if all are equal and none is saturated, 1 if not, 2 for bad input.
    """
    from spikequant.cosim.simulator.build import SimulationError
    from spikequant.cosim.simulator.verilator import tool_environment
    from spikequant.fpga.link.line import LinkError
    from spikequant.fpga.toolchain import ToolError
    from spikequant.golden.layer.spec import load_spec
    from spikequant.golden.support.files import check_writable, write_json
    from spikequant.golden.support.progress import progress_bar
    from spikequant.rtl.driver.packets import PacketError

    chip = _checked_board(backend, port, memory)
    spec = load_spec(config)
    if backend is Backend.RTL:
        tool_environment()
    if json_file is not None:
        check_writable(json_file)

    model = _load(checkpoint)
    figures: dict[str, Any] = {"backend": backend.value, "config": config, "prompt": prompt, "codes": codes}
    figures |= {"memory": memory} if memory else {}
    try:
        with progress_bar() as bar:
            writer = _Writer(bar, prompt, max_new_tokens)
            floats = golden = work = None
            if backend is Backend.FP or reference is not None:
                floats = writer.with_floats(reference or model.name)
            if backend is not Backend.FP:
                golden = writer.with_integers(model, spec, codes=codes)
            found = golden or floats
            if backend in {Backend.RTL, Backend.BOARD}:
                crew = writer.board(spec, port, baud, chip) if port else writer.simulators(spec, workers)
                found, work = writer.with_hardware(model, crew, codes=codes)
    except (SimulationError, LinkError, ToolError, PacketError) as error:
        typer.echo(f"spikequant: {checkpoint}: {error}", err=True)
        raise typer.Exit(1) from None

    assert found is not None
    beside = floats if backend is not Backend.FP else None
    equal = golden is None or found.equals(golden)
    ok = equal and (work is None or not (work.mismatches or work.saturated))
    lines = [f"{prompt}{found.text}\n"]
    lines += [f"{reference}: {prompt}{beside.text}\n"] if beside else []
    lines += [f"{len(found.tokens)} tokens, {found.seconds_per_token:.2f} s each, backend {backend.value}"]
    lines += _hardware_lines(work, equal=equal) if work else []
    typer.echo("\n".join(lines))
    if json_file is not None:
        figures |= {"ok": ok, **_text_figures(found)} | ({"reference_text": beside.text} if beside else {})
        write_json(json_file, figures | (_hardware_figures(work, found, equal=equal) if work else {}))
    if not ok:
        raise typer.Exit(1)


def _checked_board(backend: Backend, port: str | None, memory: str | None) -> "SdramChip | None":
    """The board's memory, once its options are there with a board and with nothing else."""
    from spikequant.fpga.sdram.timing import find_chip
    from spikequant.golden.support.errors import InputError

    if (backend is Backend.BOARD) != (port is not None):
        raise InputError("generate-text: --port is the board's, expected it with --backend board and with no other")
    if memory is not None and port is None:
        raise InputError("generate-text: --memory is the board's, expected it with --backend board")
    return find_chip(memory) if memory else None


def _load(checkpoint: Path) -> "LanguageModel":
    from rich.console import Console

    from spikequant.golden.checkpoint.checkpoint import load_checkpoint

    with Console(stderr=True).status("loading the model"):
        return load_checkpoint(checkpoint).language_model


def _text_figures(found: "Continuation") -> dict[str, Any]:
    return {
        "text": found.text,
        "tokens": found.tokens,
        "new_tokens": len(found.tokens),
        "prompt_tokens": found.prompt_tokens,
        "seconds_per_token": found.seconds_per_token,
        "seconds": sum(found.seconds),
        "logits_sha256": sha256(found.logits.numpy().tobytes()).hexdigest(),
    }


def _hardware_figures(work: "Work", found: "Continuation", *, equal: bool) -> dict[str, Any]:
    return {
        "equal_to_golden": equal,
        "layers": work.layers,
        "outputs": work.outputs,
        "mismatches": work.mismatches,
        "saturated": work.saturated,
        "first_mismatch": work.first,
        "cycles": work.cycles,
        "cycles_per_token": work.cycles / (found.prompt_tokens + len(found.tokens) - 1),
        "sim_cycles_per_second": work.cycles / work.simulated_seconds,
    }


def _hardware_lines(work: "Work", *, equal: bool) -> list[str]:
    lines = [
        f"{work.layers} layers run, {work.outputs} outputs, {work.mismatches} mismatches, {work.saturated} saturated",
        f"text and logits {'identical to' if equal else 'DIFFERENT FROM'} golden's",
        f"{work.cycles} cycles, {work.cycles / work.simulated_seconds / 1e3:.0f} thousand cycles/s on each simulator",
    ]
    if work.first:
        lines.append(f"first mismatch: {work.first}")
    return lines


class _Writer:
    """Continues one prompt on each backend, with a bar for each."""

    def __init__(self, bar: "Progress", prompt: str, tokens: int) -> None:
        self._bar = bar
        self._prompt = prompt
        self._tokens = tokens

    def _write(self, model: "LanguageModel", description: str) -> "Continuation":
        from spikequant.golden.models.continuation import continue_prompt

        task = self._bar.add_task(description, total=self._tokens)
        found = continue_prompt(
            model, self._prompt, self._tokens, progress=lambda done: self._bar.update(task, completed=done)
        )
        self._bar.remove_task(task)
        return found

    def with_floats(self, name: str) -> "Continuation":
        """The float model's continuation."""
        from spikequant.golden.models.model import load_model

        return self._write(load_model(name), "writing in floats")

    def with_integers(self, model: "LanguageModel", spec: "Spec", *, codes: bool) -> "Continuation":
        """The integer level's."""
        from spikequant.golden.evaluation.offload import offload_layers
        from spikequant.golden.layer.integer import run_layer

        with offload_layers(model.model, spec, lambda _, vectors: run_layer(vectors, spec), codes=codes):
            return self._write(model, "writing in integers")

    def with_hardware(
        self, model: "LanguageModel", crew: "AbstractContextManager[Crew]", *, codes: bool
    ) -> "tuple[Continuation, Work]":
        """The hardware's, and what it did."""
        from spikequant.golden.evaluation.offload import offload_layers

        with crew as devices, offload_layers(model.model, devices.spec, devices.run, codes=codes):
            return self._write(model, "writing in hardware"), devices.work

    @contextmanager
    def simulators(self, spec: "Spec", workers: int | None) -> "Iterator[Crew]":
        """Simulators of the generated Verilog."""
        from os import cpu_count

        from spikequant.cosim.device_pool import simulated_crew

        starting = self._bar.add_task("building the simulator", total=None)
        with simulated_crew(spec, workers or cpu_count() or 1) as crew:
            self._bar.remove_task(starting)
            yield crew

    @contextmanager
    def board(self, spec: "Spec", port: str, baud: int, chip: "SdramChip | None") -> "Iterator[Crew]":
        """A board alone, which keeps in its memory, if it has one, what fits."""
        from concurrent.futures import ThreadPoolExecutor

        from spikequant.cosim.device_pool import Crew
        from spikequant.fpga.host.resident import ResidentLayers
        from spikequant.gen.board import Line, board_accelerator

        starting = self._bar.add_task("starting", total=None)

        def stage(description: str) -> None:
            self._bar.update(starting, description=description)

        board = board_accelerator(spec, Line(port, baud), chip=chip, stage=stage)
        with board as accelerator, ThreadPoolExecutor(2) as threads:
            self._bar.remove_task(starting)
            yield Crew(spec, [ResidentLayers(accelerator).run], threads)


def add_commands(app: typer.Typer) -> None:
    """Add ``generate-text`` to the command line."""
    app.command("generate-text")(generate_text)
