"""The command ``chat``, with a tiny random model: replies in integers, and from a virtual board."""

import json
import signal
import sys
from functools import partial
from pathlib import Path

import pexpect
import pytest
from typer.testing import CliRunner, Result

from spikequant.gen.cli import app
from spikequant.golden.layer.integer import LayerOutput, run_layer
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.errors import InputError

TEMPLATE = "{% for message in messages %}{{ message['role'][0] + ', ' + message['content'] + '.' }}{% endfor %}a, "

CLOSE = 0.05

VIRTUAL = ("--port", "sim", "--baud", 6_000_000, "--memory", "AS4C16M16SA-7")
"""A fast line, which simulates fast."""


@pytest.fixture
def chatty_checkpoint(smallest_checkpoint: Path, tmp_path: Path) -> Path:
    """The model with a chat template."""
    folder = tmp_path / "chatty"
    folder.mkdir()
    for path in smallest_checkpoint.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "chat_template.jinja").write_text(TEMPLATE)
    return folder


def chat(checkpoint: Path, *arguments: object, stdin: str = "") -> Result:
    options = ["--checkpoint", checkpoint, "--config", "tiny", "--memory", "none", *arguments]
    return CliRunner().invoke(app, ["chat", *map(str, options)], input=stdin)


def test_replies_in_integers_have_a_calculated_speed(smallest_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    options = ("--backend", "golden", "--max-new-tokens", 3, "--json", file)
    result = chat(smallest_checkpoint, *options, "--prompt", "the spikes", "--prompt", "a neuron")
    assert result.exit_code == 0, result.output
    found = json.loads(file.read_text())
    first, second = found["replies"]
    assert result.stdout == f"the spikes{first['text']}\na neuron{second['text']}\n"
    assert [len(first["tokens"]), first["read_tokens"], first["stop"]] == [3, len("the spikes"), "limit"]
    rate = found["budget"]["tokens_per_second"]
    assert (found["speed"], first["tokens_per_second"]) == ("calculated", rate)
    assert (found["budget"]["binds"], found["budget"]["total"]["layers"]) == ("line", 7)
    assert (found["compared"], first["board_seconds"]) == (None, None)
    heading, *statuses, written = result.stderr.splitlines()
    assert heading.endswith("no chat template: each prompt is continued")
    assert f"3 tokens · {rate:.3g} tokens/s on ulx3s_85f (calculated) · line binds, " in statuses[0]
    assert len(statuses) == 2
    assert written == f"wrote {file}"

    # the same prompts as lines, and the same text as of the command for one prompt
    lines = chat(smallest_checkpoint, *options, stdin="the spikes\n\na neuron\n")
    assert lines.stdout == result.stdout
    alone = ["--checkpoint", smallest_checkpoint, "--config", "tiny", "--backend", "golden", "--max-new-tokens", 3]
    text = CliRunner().invoke(app, ["generate-text", *map(str, alone), "--prompt", "a neuron"])
    assert f"a neuron{second['text']}\n" in text.stdout


def test_a_conversation_stays_in_the_cache(chatty_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    options = ("--backend", "golden", "--max-new-tokens", 2, "--json", file)
    result = chat(chatty_checkpoint, *options, stdin="spikes\nmore\n")
    assert result.exit_code == 0, result.output
    first, second = json.loads(file.read_text())["replies"]
    assert first["read_tokens"] == len("u, spikes.a, ")
    # the text of this tokenizer has spaces between characters
    assert second["read_tokens"] == len(f"{first['text']}.u, more.a, ") - 1
    assert result.stdout == f"{first['text']}\n{second['text']}\n"
    assert "chat template of its tokenizer" in result.stderr


def test_a_virtual_board_shows_the_time_of_the_board(smallest_checkpoint: Path, tmp_path: Path) -> None:
    file = tmp_path / "chat.json"
    result = chat(smallest_checkpoint, *VIRTUAL, "--max-new-tokens", 3, "--json", file, "--prompt", "a")
    assert result.exit_code == 0, result.output
    found = json.loads(file.read_text())
    (reply,) = found["replies"]
    counted = reply["board_seconds"]
    assert found["speed"] == "counted"
    assert reply["tokens_per_second"] == pytest.approx(2 / sum(counted[1:]))
    # the board's clock runs on while a busy machine keeps the host waiting
    assert 1e3 * min(counted) == pytest.approx(found["budget"]["total"]["milliseconds"], rel=CLOSE)
    assert found["budget"]["stored_layers"] == 7
    assert found["compared"] == {"outputs": 3 * 112, "mismatches": 0, "saturated": 0, "first_mismatch": ""}
    assert "336 outputs, 0 mismatches, 0 saturated: equal" in result.stderr
    assert "tokens/s on ulx3s_85f (counted) · line binds" in result.stderr


def test_outputs_that_differ_are_reported(smallest_checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # the crew's golden side is off by one, as if the hardware were
    def off_by_one(vectors: LayerVectors, spec: Spec) -> LayerOutput:
        golden = run_layer(vectors, spec)
        golden.code[0, 0] += 1
        return golden

    monkeypatch.setattr("spikequant.cosim.device_pool.run_layer", off_by_one)
    result = chat(smallest_checkpoint, *VIRTUAL, "--max-new-tokens", 1, "--prompt", "a")
    assert result.exit_code == 1
    assert "112 outputs, 7 mismatches, 0 saturated: NOT EQUAL" in result.stderr
    assert "first mismatch: model.layers.0.self_attn.q_proj, token 0, neuron 0: " in result.stderr


def test_a_terminal_stops_replies_and_ends(smallest_checkpoint: Path) -> None:
    program = "from spikequant.gen.cli import main; main()"
    options = ["--backend", "golden", "--config", "tiny", "--memory", "none", "--max-new-tokens", "2000"]
    arguments = ["-c", program, "chat", "--checkpoint", str(smallest_checkpoint), *options]
    child = pexpect.spawn(
        sys.executable,
        arguments,
        dimensions=(20, 120),
        encoding="utf-8",
        timeout=120,
        # a shell's jobs in the background ignore the interrupt, and so would the child
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    child.expect("each prompt is continued; Ctrl-C stops a reply, Ctrl-D ends")
    child.expect("> ")
    child.sendintr()
    child.expect("> ")
    child.sendline("the spikes")
    child.expect("tokens/s on ulx3s_85f")
    child.sendintr()
    child.expect(r"line binds, [0-9,]+ ms \(array [0-9]+\) · stopped")
    child.expect("> ")
    child.sendline(3000 * "a")
    child.expect("expected fewer than 2048.*; the conversation begins anew")
    child.expect("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "chat: no --port, expected a serial port, sim, or --backend golden"),
        (("--backend", "golden", "--port", "sim"), "chat: --port sim is for a board"),
        (("--port", "sim", "--board", "nobody"), "board: unknown board 'nobody'"),
        (("--port", "sim", "--memory", "AS4C16M16SA-7", "--frequency", 50), "frequency: 50 MHz, expected 60"),
        (("--backend", "golden"), "chat: no prompts, expected --prompt or lines on stdin"),
        (("--backend", "golden", "--prompt", ""), "prompt '': no tokens"),
        (("--backend", "golden", "--prompt", 3000 * "a"), "3000 tokens with the conversation so far, expected fewer"),
    ],
)
def test_bad_input(smallest_checkpoint: Path, arguments: tuple[object, ...], message: str) -> None:
    result = chat(smallest_checkpoint, *arguments)
    assert isinstance(result.exception, InputError)
    assert message in str(result.exception)
    assert result.stdout == ""
