"""Output of a reply on terminals and elsewhere."""

import io
import re

import pytest
from rich.console import Console

from spikequant.gen.chat.screen import ReplyScreen

ERASED = "\x1b[2K"
CONTROL = re.compile(r"\x1b\[[?0-9]*[A-Za-z]|\r")


def console(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=20, color_system=None, legacy_windows=False)


def written(found: Console) -> str:
    assert isinstance(found.file, io.StringIO)
    return found.file.getvalue()


def reply(out: Console, err: Console) -> None:
    with ReplyScreen(out, err) as screen:
        screen.status("reading")
        for piece in ("Spikes [b]", "arrive", " at the neuron.\n\n  def", " f(): 1"):
            screen.write(piece)
        screen.status("4 tokens, and a status that is longer than a line")


def test_text_alone_goes_to_a_file_as_it_is() -> None:
    out, err = console(terminal=False), console(terminal=False)
    reply(out, err)
    assert written(out) == "Spikes [b]arrive at the neuron.\n\n  def f(): 1\n"
    assert written(err) == "4 tokens, and a status that is longer than a line\n"


def test_a_terminal_for_the_status_leaves_the_text_alone() -> None:
    out, err = console(terminal=False), console(terminal=True)
    reply(out, err)
    assert written(out) == "Spikes [b]arrive at the neuron.\n\n  def f(): 1\n"
    assert written(err).endswith("4 tokens, and a status that is longer than a line\n")


def test_a_terminal_shows_whole_words_of_each_line() -> None:
    out, err = console(terminal=True), console(terminal=True)
    reply(out, err)
    lines = [CONTROL.sub("", line.rpartition(ERASED)[2]).rstrip() for line in written(out).split("\n")]
    places = [lines.index(line) for line in ("Spikes [b]arrive at", "the neuron.", "  def f(): 1")]
    assert places == sorted(places)
    assert written(err) == "4 tokens, and a status that is longer than a line\n"


def test_an_error_leaves_nothing_behind() -> None:
    out, err = console(terminal=False), console(terminal=False)

    def fail() -> None:
        with ReplyScreen(out, err) as screen:
            screen.status("reading")
            raise ValueError("no reply")

    with pytest.raises(ValueError, match="no reply"):
        fail()
    assert written(out) == written(err) == ""
