"""A tiny language model through the commands: every layer, and text from hardware."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from spikequant.gen.cli import main
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs a command line in a folder of its own; gives status, output and error lines."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["spikequant", *arguments])
        with pytest.raises(SystemExit) as stop:
            main()
        captured = capsys.readouterr()
        return int(stop.value.code or 0), captured.out, captured.err

    return run


def test_every_layer(run: Run, smallest_checkpoint: Path) -> None:
    arguments = ("cosim", "--config", "tiny", "--checkpoint", str(smallest_checkpoint), "--all", "--tokens", "3")
    status, output, error = run(*arguments, "--json", "all.json", "--report", "all.html", "--workers", "1", "--fresh")
    assert status == 0, error
    figures = json.loads(Path("all.json").read_text())
    assert figures["ok"] is True
    assert (figures["layers"], figures["mismatches"], figures["saturated"], figures["remembered"]) == (7, 0, 0, 0)
    assert [layer["name"].rpartition(".")[2] for layer in figures["per_layer"]] == [
        "q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
    ]  # fmt: skip
    assert figures["cycles"] == sum(layer["cycles"] for layer in figures["per_layer"])
    assert figures["outputs"] == 3 * (16 + 8 + 8 + 16 + 24 + 24 + 16)
    assert all(layer["activity_expected"] for layer in figures["per_layer"])
    assert "0 mismatches, 0 saturated: equal" in output
    assert "down_proj" in Path("all.html").read_text()
    status, output, _ = run(*arguments, "--json", "again.json", "--workers", "1")
    again = json.loads(Path("again.json").read_text())
    assert (status, again["remembered"], again["cycles"]) == (0, 7, figures["cycles"])


def test_text_from_hardware_is_that_of_golden(run: Run, smallest_checkpoint: Path, smallest_folder: Path) -> None:
    arguments = (
        "generate-text",
        "--config",
        "tiny",
        "--checkpoint",
        str(smallest_checkpoint),
        "--prompt",
        "the spikes",
    )
    arguments += ("--max-new-tokens", "3")
    found = {}
    for backend in ("rtl", "golden", "fp"):
        more = ("--reference", str(smallest_folder)) if backend == "rtl" else ()
        status, output, error = run(*arguments, "--backend", backend, "--json", "text.json", *more)
        assert status == 0, error
        found[backend] = json.loads(Path("text.json").read_text())
        assert f"the spikes{found[backend]['text']}" in output
    rtl, golden, fp = found["rtl"], found["golden"], found["fp"]
    assert rtl["equal_to_golden"] is True
    assert (rtl["mismatches"], rtl["saturated"]) == (0, 0)
    assert rtl["layers"] == 7 * 3
    assert rtl["outputs"] == (10 + 2) * (16 + 8 + 8 + 16 + 24 + 24 + 16)
    assert (rtl["tokens"], rtl["logits_sha256"]) == (golden["tokens"], golden["logits_sha256"])
    assert golden["logits_sha256"] != fp["logits_sha256"]
    assert rtl["reference_text"] == fp["text"]
    assert rtl["prompt_tokens"] == 10
    assert len(rtl["tokens"]) == 3


@pytest.mark.parametrize("memory", [None, "AS4C16M16SA-7"])
def test_text_from_a_virtual_board_is_that_of_golden(run: Run, smallest_checkpoint: Path, memory: str | None) -> None:
    arguments = ("--config", "tiny", "--checkpoint", str(smallest_checkpoint), "--prompt", "a", "--max-new-tokens", "1")
    arguments += ("--backend", "board", "--port", "sim", "--json", "text.json")
    arguments += ("--memory", memory) if memory else ()
    status, output, error = run("generate-text", *arguments)
    assert status == 0, error
    figures = json.loads(Path("text.json").read_text())
    assert (figures["equal_to_golden"], figures["layers"], figures["mismatches"]) == (True, 7, 0)
    assert "text and logits identical to the integers" in output


def test_hardware_that_differs_is_reported(
    run: Run, smallest_checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # the crew's golden side is off by one, as if the hardware were
    def off_by_one(vectors: LayerVectors, spec: Spec) -> LayerOutput:
        golden = run_layer(vectors, spec)
        golden.code[0, 0] += 1
        return golden

    monkeypatch.setattr("spikequant.cosim.device_pool.run_layer", off_by_one)
    arguments = ("--config", "tiny", "--checkpoint", str(smallest_checkpoint), "--prompt", "a", "--max-new-tokens", "1")
    status, output, _ = run("generate-text", *arguments, "--workers", "1", "--json", "text.json")
    figures = json.loads(Path("text.json").read_text())
    assert (status, figures["ok"], figures["mismatches"]) == (1, False, 7)
    assert "first mismatch: model.layers.0.self_attn.q_proj, token 0, neuron 0: " in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cosim", "--all"), "expected --all with --checkpoint DIR"),
        (("cosim", "--all", "--checkpoint", "x", "--layer", "y"), "expected --all with --checkpoint DIR"),
        (("cosim", "--all", "--checkpoint", "x", "--stalls", "0.5"), "expected --all without them"),
        (("cosim", "--checkpoint", "x", "--layer", "y", "--fresh"), "are for many layers, expected --all"),
        (("generate-text", "--checkpoint", "nowhere", "--prompt", "a"), "nowhere"),
        (("generate-text", "--checkpoint", "x", "--prompt", "a", "--backend", "gpu"), "gpu"),
        (
            ("generate-text", "--checkpoint", "x", "--prompt", "a", "--backend", "board"),
            "--port is for --backend board",
        ),
        (("generate-text", "--checkpoint", "x", "--prompt", "a", "--port", "sim"), "--port is for --backend board"),
        (("generate-text", "--checkpoint", "x", "--prompt", "a", "--memory", "y"), "--memory is for a board"),
    ],
)
def test_bad_input(run: Run, arguments: tuple[str, ...], message: str) -> None:
    status, _, error = run(*arguments)
    assert status == 2
    assert message in error
    assert error.count("\n") == 1
    assert not list(Path().iterdir())
