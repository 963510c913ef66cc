"""How command lines end."""

import pytest
import typer

from spikequant.golden.support.command_line import BAD_INPUT, FAILED, INTERRUPTED, run_command
from spikequant.golden.support.errors import InputError


class ToolBrokeError(Exception):
    """A failure that is not the user's."""


@pytest.mark.parametrize(
    ("outcome", "status", "line"),
    [
        (None, 0, ""),
        (typer.Exit(FAILED), FAILED, ""),
        (InputError("file x: empty, expected text"), BAD_INPUT, "it: file x: empty, expected text\n"),
        (ToolBrokeError("the tool broke"), FAILED, "it: the tool broke\n"),
        (KeyboardInterrupt(), INTERRUPTED, "it: broken off\n"),
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
        run_command(command, name="it", interrupted="broken off")
    assert (caught.value.code, capsys.readouterr().err) == (status, line)


def test_an_unknown_option_is_bad_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.argv", ["it", "--colour", "red"])
    with pytest.raises(SystemExit) as caught:
        run_command(lambda: None, name="it")
    assert caught.value.code == BAD_INPUT
    assert capsys.readouterr().err == "it: No such option: --colour\n"


def test_what_nobody_expects_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def command() -> None:
        raise ToolBrokeError

    monkeypatch.setattr("sys.argv", ["it"])
    with pytest.raises(ToolBrokeError):
        run_command(command, name="it")
