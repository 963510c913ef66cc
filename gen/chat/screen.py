"""Output of a reply: its text on stdout as it comes, and a status line on stderr."""

from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text


class ReplyScreen:
    """Text and status of one reply; a context manager that leaves both as lines.

    If stdout and stderr are terminals, finished lines of the text are printed, and its last line and the status are
    drawn again with each change. Otherwise the text is written as it comes; only a terminal shows the status meanwhile.

    Args:
        out: stdout.
        err: stderr.
    """

    def __init__(self, out: Console, err: Console) -> None:
        self._out, self._err = out, err
        self._drawn = out.is_terminal and err.is_terminal
        self._written = False
        self._line = ""
        self._status = ""
        self._live: Live | None = None
        if err.is_terminal:
            self._live = Live(
                console=out if self._drawn else err,
                get_renderable=self._render,
                refresh_per_second=10,
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
            )

    def __enter__(self) -> "ReplyScreen":
        """Begin."""
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Print the rest of the text, and the last status unless an error ends the reply."""
        if self._live:
            self._live.stop()
        if self._written and self._drawn:
            self._out.print(Text(self._line), soft_wrap=True)
        elif self._written:
            self._out.file.write("\n")
            self._out.file.flush()
        if kind is None and self._status:
            self._err.print(self._status_line(), soft_wrap=True)

    def write(self, piece: str) -> None:
        """Append to the text."""
        self._written = True
        if not self._drawn:
            self._out.file.write(piece)
            self._out.file.flush()
            return
        *lines, last = Text(self._line + piece).wrap(self._out, self._out.width)
        self._line = last.plain
        for line in lines:
            self._out.print(line, soft_wrap=True)
        if self._live:
            self._live.refresh()

    def status(self, status: str) -> None:
        """Replace the status."""
        self._status = status

    def _status_line(self) -> Text:
        return Text(self._status, style="dim")

    def _render(self) -> Group:
        return Group(Text(self._line), self._status_line()) if self._drawn else Group(self._status_line())
