"""Replies of a model with their speed on a board, and what binds it there."""

from collections.abc import Callable, Mapping
from itertools import islice

from spikequant.cosim.device_pool import Work
from spikequant.fpga.budget.figures import BudgetFigures, budget_figures
from spikequant.fpga.budget.timeline import greeting
from spikequant.fpga.budget.token import token_sites
from spikequant.gen.board_choice import ChosenBoard
from spikequant.gen.chat.figures import ChatFigures, ComparedFigures, Origin, ReplyFigures, Stop
from spikequant.gen.chat.screen import ReplyScreen
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.models.conversation import Conversation
from spikequant.golden.models.growing_text import NewToken
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.streamed_text import StreamedText
from spikequant.golden.quantizer.linear import quantized_layers


class ChatSession:
    """A conversation, and what it takes on a board.

    The budget is that of the last token of the first pass through the layers, as if it ran alone.

    Args:
        model: a quantized model, whose layers are to call ``watch`` before they run.
        chosen: the board.
        origin: of the board's speed.

    Attributes:
        conversation: with the model.
        work: counters of the board, to set before the first reply; None without one.
        budget: of a token; None before the first reply.
        replies: figures of all replies.
    """

    def __init__(self, model: LanguageModel, chosen: ChosenBoard, origin: Origin) -> None:
        self.conversation = Conversation(model)
        self.budget: BudgetFigures | None = None
        self.replies: list[ReplyFigures] = []
        self.work: Work | None = None
        self._model = model
        self._chosen = chosen
        self._origin = origin
        self._layers = len(quantized_layers(model.model))
        # the current pass, and runs of all passes
        self._names: set[str] = set()
        self._runs = 0
        self._traced: dict[str, LayerVectors] = {}
        self._show: Callable[[str], None] = lambda _: None

    def watch(self, layers: Mapping[str, LayerVectors]) -> None:
        """Take note of layers that are about to run."""
        self._runs += 1
        self._names |= set(layers)
        if self.budget is None:
            self._traced |= {name: vectors.of_tokens(slice(-1, None)) for name, vectors in layers.items()}
        self._show(f"{len(self._names)}/{self._layers} layers")

    def reply(
        self, prompt: str, screen: ReplyScreen, *, tokens: int, stopped: Callable[[], bool] = lambda: False
    ) -> ReplyFigures:
        """Write a reply to a prompt.

        Args:
            prompt: plain text.
            screen: output.
            tokens: most new tokens.
            stopped: whether to end after the current token.

        Raises:
            InputError: the prompt does not fit; see ``Conversation.ask``.
            LinkError, PacketError, ToolError: the board failed.
        """
        text = StreamedText(self._model.tokenizer)
        written: list[NewToken] = []
        board: list[float] = []
        found = self.conversation.ask(prompt)
        if not self.conversation.has_template:
            screen.write(prompt)
        self._begin(screen, "reading the prompt")
        before = self._board_seconds()
        for token in islice(found, tokens):
            written.append(token)
            board.append(self._board_seconds() - before)
            screen.write(text.add(token.number))
            if self.budget is None:
                self.budget = self._calculate(screen)
            self._begin(screen, self._status(written, board))
            if token.ends or stopped():
                stop = Stop.END if token.ends else Stop.INTERRUPT
                break
            before = self._board_seconds()
        else:
            stop = Stop.LIMIT if len(written) == tokens else Stop.CONTEXT
        screen.write(text.end())
        reason = {Stop.CONTEXT: " · the context is full", Stop.INTERRUPT: " · stopped"}.get(stop, "")
        screen.status(self._status(written, board) + reason)
        reply = ReplyFigures(
            prompt=prompt,
            text=text.text,
            tokens=[token.number for token in written],
            read_tokens=written[0].read,
            seconds=[token.seconds for token in written],
            board_seconds=board if self.work else None,
            tokens_per_second=self._rate(written, board),
            stop=stop,
        )
        self.replies.append(reply)
        return reply

    def figures(self, *, port: str | None, codes: bool) -> ChatFigures:
        """Figures for JSON."""
        work, compared = self.work, None
        if work:
            compared = ComparedFigures(
                outputs=work.outputs, mismatches=work.mismatches, saturated=work.saturated, first_mismatch=work.first
            )
        return ChatFigures(
            model=self._model.name,
            template=self.conversation.has_template,
            port=port,
            codes=codes,
            speed=self._origin,
            ok=work is None or not (work.mismatches or work.saturated),
            replies=self.replies,
            budget=self.budget,
            compared=compared,
        )

    def _begin(self, screen: ReplyScreen, status: str) -> None:
        """Begin a pass through the layers, during which the status shows the current one."""
        self._names.clear()
        screen.status(status)
        self._show = lambda layer: screen.status(f"{status} · {layer}")

    def _board_seconds(self) -> float:
        """Time of all exchanges so far.

        Each is counted from one reading of the board's counter to the next, to which the other reading is added.
        """
        if self.work is None:
            return 0.0
        setup = self._chosen.setup
        return (self.work.cycles + self._runs * greeting(setup.byte_cycles).cycles) / setup.clock_hz

    def _calculate(self, screen: ReplyScreen) -> BudgetFigures:
        layers, self._traced = self._traced, {}
        sites = token_sites(
            self._chosen.setup,
            layers,
            progress=lambda done, of: screen.status(f"calculating a token's budget · {done} of {of} exchanges"),
        )
        described = f"{len(layers)} layers of {self._model.name}, 1 token"
        return budget_figures(
            self._chosen.setup, sites, board=self._chosen.board, config=self._chosen.config, model=described
        )

    def _rate(self, written: list[NewToken], board: list[float]) -> float | None:
        """Tokens a second of the board; None if the only token includes the prompt."""
        if self._origin is Origin.CALCULATED:
            return self.budget.tokens_per_second if self.budget else None
        seconds = board if self._origin is Origin.COUNTED else [token.seconds for token in written]
        return (len(seconds) - 1) / sum(seconds[1:]) if len(seconds) > 1 else None

    def _status(self, written: list[NewToken], board: list[float]) -> str:
        rate = self._rate(written, board)
        count = f"{len(written)} token{'s' if len(written) > 1 else ''}"
        speed = f"{rate:.3g} tokens/s on {self._chosen.board.name} ({self._origin})" if rate else ""
        binds = _binding(self.budget) if self.budget else ""
        return " · ".join(part for part in (count, speed, binds) if part)


def _binding(budget: BudgetFigures) -> str:
    """What binds a token, with the milliseconds that each of line, memory and array would take alone."""
    total = budget.total
    alone = {
        "line": total.line.milliseconds,
        "memory": total.memory.milliseconds,
        "array": total.array.milliseconds,
    }
    times = {name: f"{milliseconds:,.0f}" for name, milliseconds in alone.items() if milliseconds}
    slowest = times.pop(budget.binds)
    others = ", ".join(f"{name} {time}" for name, time in times.items())
    return f"{budget.binds} binds, {slowest} ms ({others})"
