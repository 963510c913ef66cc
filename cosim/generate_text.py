"""The command ``generate-text``."""

# Commands import what they need when they run, so that --help answers at once; their options have names anyway.
# ruff: noqa: PLC0415, PLR0917

from contextlib import ExitStack
from enum import StrEnum
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.progress import Progress

    from cosim.crew import Work
    from golden.continuation import Continuation
    from golden.model import LanguageModel
    from golden.spec import Spec


class Backend(StrEnum):
    """What computes the linear layers."""

    RTL = "rtl"
    GOLDEN = "golden"
    FP = "fp"


def generate_text(
    checkpoint: Annotated[Path, typer.Option(metavar="DIR", help="a quantized model")],
    prompt: Annotated[str, typer.Option(help="text to go on from")],
    backend: Annotated[
        Backend, typer.Option(help="rtl: the generated Verilog, simulated; golden: integers; fp: the float model")
    ] = Backend.RTL,
    config: Annotated[str, typer.Option(metavar="PRESET|FILE", help="preset, or TOML file with a spec")] = "base",
    max_new_tokens: Annotated[int, typer.Option(metavar="N", min=1, help="tokens to write at most")] = 20,
    codes: Annotated[bool, typer.Option("--codes", help="layers give output codes, not membranes")] = False,
    reference: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="float model, to show its text beside", show_default="for fp: as quantized"),
    ] = None,
    workers: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="simulators that share a layer", show_default="one a core")
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="write the figures here")] = None,
) -> None:
    """Continue a prompt, every linear layer of the decoder on the chosen backend, the rest in PyTorch.

    With rtl, every output of every layer is compared with the integers, and text and logits with those of golden.
    Exit status 0 if all are equal and none is saturated, 1 if not, 2 for bad input.
    """
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from cosim.build import SimulationError
    from gen.verilator import tool_environment
    from golden.files import check_writable, write_json
    from golden.spec import load_spec
    from rtl.packets import PacketError

    spec = load_spec(config)
    if backend is Backend.RTL:
        tool_environment()
    if json_file is not None:
        check_writable(json_file)

    from golden.checkpoint import load_checkpoint

    console = Console(stderr=True)
    with console.status("loading the model"):
        model = load_checkpoint(checkpoint).language_model
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    figures: dict[str, Any] = {"backend": backend.value, "config": config, "prompt": prompt, "codes": codes}
    lines = []
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            writer = _Writer(bar, prompt, max_new_tokens)
            if backend is Backend.FP or reference is not None:
                float_text = writer.with_floats(reference or model.name)
            if backend is Backend.FP:
                found, ok = float_text, True
            else:
                found = golden = writer.with_integers(model, spec, codes=codes)
                ok = True
            if backend is Backend.RTL:
                found, work = writer.with_hardware(model, spec, codes=codes, workers=workers)
                equal = found.equals(golden)
                ok = equal and not work.mismatches and not work.saturated
                figures |= _hardware_figures(work, found, equal=equal)
                lines += _hardware_lines(work, equal=equal)
    except (SimulationError, PacketError) as error:
        typer.echo(f"spikequant: {checkpoint}: {error}", err=True)
        raise typer.Exit(1) from None

    figures = {"ok": ok, **_text_figures(found), **figures}
    typer.echo(f"{prompt}{found.text}\n")
    if backend is not Backend.FP and reference is not None:
        figures["reference_text"] = float_text.text
        typer.echo(f"{reference}: {prompt}{float_text.text}\n")
    typer.echo(f"{len(found.tokens)} tokens, {found.seconds_per_token:.2f} s each, backend {backend.value}")
    for line in lines:
        typer.echo(line)
    if json_file is not None:
        write_json(json_file, figures)
    if not ok:
        raise typer.Exit(1)


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
        from golden.continuation import continue_prompt

        task = self._bar.add_task(description, total=self._tokens)
        found = continue_prompt(
            model, self._prompt, self._tokens, progress=lambda done: self._bar.update(task, completed=done)
        )
        self._bar.remove_task(task)
        return found

    def with_floats(self, name: str) -> "Continuation":
        """The float model's continuation."""
        from golden.model import load_model

        return self._write(load_model(name), "writing in floats")

    def with_integers(self, model: "LanguageModel", spec: "Spec", *, codes: bool) -> "Continuation":
        """The integer level's."""
        from golden.hosted import hosted
        from golden.integer import run_layer

        with hosted(model.model, spec, lambda _, vectors: run_layer(vectors, spec), codes=codes):
            return self._write(model, "writing in integers")

    def with_hardware(
        self, model: "LanguageModel", spec: "Spec", *, codes: bool, workers: int | None
    ) -> "tuple[Continuation, Work]":
        """The simulated hardware's, and what it did."""
        from os import cpu_count

        from cosim.crew import simulated_crew
        from golden.hosted import hosted

        with ExitStack() as stack:
            starting = self._bar.add_task("building the simulator", total=None)
            crew = stack.enter_context(simulated_crew(spec, workers or cpu_count() or 1))
            self._bar.remove_task(starting)
            stack.enter_context(hosted(model.model, spec, crew.run, codes=codes))
            return self._write(model, "writing in hardware"), crew.work
