"""How command lines end."""

import errno
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest
import typer

from spikequant.golden.support.command_line import (
    BAD_INPUT,
    FAILED,
    INTERRUPTED,
    TERMINATED,
    StoppedError,
    resumable,
    run_app,
)
from spikequant.golden.support.errors import InputError, SpikeQuantError


def run(command: Callable[..., None]) -> NoReturn:
    app = typer.Typer(add_completion=False)
    app.command()(command)
    run_app(app, name="it")


class ToolBrokeError(SpikeQuantError):
    """A failure that is not the user's."""


@pytest.mark.parametrize(
    ("outcome", "status", "line"),
    [
        (None, 0, ""),
        (typer.Exit(FAILED), FAILED, ""),
        (InputError("file x: empty, expected text"), BAD_INPUT, "it: file x: empty, expected text\n"),
        (ToolBrokeError("the tool broke"), FAILED, "it: the tool broke\n"),
        (KeyboardInterrupt(), INTERRUPTED, "it: interrupted\n"),
        (FileNotFoundError(2, "No such file or directory", "x"), BAD_INPUT, "it: x: No such file or directory\n"),
        (OSError(errno.ENOSPC, "No space left on device"), FAILED, "it: No space left on device\n"),
        (StoppedError("interrupted; all is kept"), INTERRUPTED, "it: interrupted; all is kept\n"),
    ],
)
def test_each_end_has_its_status_and_at_most_one_line(
    outcome: BaseException | None,
    status: int,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def command() -> None:
        if outcome is not None:
            raise outcome

    monkeypatch.setattr("sys.argv", ["it"])
    with pytest.raises(SystemExit) as caught:
        run(command)
    assert (caught.value.code, capsys.readouterr().err) == (status, line)


def test_an_unknown_option_is_bad_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["it", "--colour", "red"])
    with pytest.raises(SystemExit) as caught:
        run(lambda: None)
    assert caught.value.code == BAD_INPUT
    assert capsys.readouterr().err == "it: No such option: --colour\n"


def test_an_unforeseen_error_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("sys.argv", ["it"])
    with pytest.raises(ZeroDivisionError):
        run(command)


def test_an_interrupted_command_reports_what_is_kept() -> None:
    @resumable("finished seeds are kept in --out")
    def command() -> None:
        raise KeyboardInterrupt

    line = "interrupted; finished seeds are kept in --out, and the same command resumes from there"
    with pytest.raises(StoppedError, match=line):
        command()


def test_sigterm_unwinds_the_stack(tmp_path: Path) -> None:
    """A signal ends a command like an exception: its temporary folder is removed."""
    program = f"""
import tempfile, time, typer
from spikequant.golden.support.command_line import run_app

app = typer.Typer()

@app.command()
def command() -> None:
    with tempfile.TemporaryDirectory(dir={str(tmp_path)!r}):
        print("running", flush=True)
        time.sleep(60)

run_app(app, name="it")
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n"
        assert len(list(tmp_path.iterdir())) == 1
        process.terminate()
        assert process.wait(timeout=30) == TERMINATED
    assert list(tmp_path.iterdir()) == []
