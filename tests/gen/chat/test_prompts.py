"""Prompts from a terminal, and interrupts."""

import io
import signal
from collections.abc import Callable

import pytest

from spikequant.gen.chat.prompts import prompts, stop_on_interrupt


class Terminal(io.StringIO):
    """Stdin as a terminal."""

    def isatty(self) -> bool:
        return True


def test_typed_lines_end_with_the_input(monkeypatch: pytest.MonkeyPatch) -> None:
    def typed(text: str) -> Callable[[], str]:
        return lambda: text

    def fails(error: type[BaseException]) -> Callable[[], str]:
        def fail() -> str:
            raise error

        return fail

    answers = iter([typed("one"), fails(KeyboardInterrupt), typed("  "), typed("two"), fails(EOFError)])
    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("builtins.input", lambda _prompt: next(answers)())
    assert list(prompts([])) == ["one", "two"]
    assert list(prompts(["given"])) == ["given"]


def test_the_first_interrupt_is_noted_and_the_second_one_raised() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as stopped:
        assert not stopped()
        signal.raise_signal(signal.SIGINT)
        assert stopped()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before
