"""Figures of a chat."""

from enum import StrEnum

from spikequant.fpga.budget.figures import BudgetFigures
from spikequant.golden.support.figures import Figures


class Origin(StrEnum):
    """Origin of a board's speed."""

    CALCULATED = "calculated"
    COUNTED = "counted"
    MEASURED = "measured"


class Stop(StrEnum):
    """Reason for which a reply ends."""

    END = "end"
    LIMIT = "limit"
    CONTEXT = "context"
    INTERRUPT = "interrupt"


class ReplyFigures(Figures):
    """Figures of a reply.

    Attributes:
        text: the new tokens as text.
        tokens: ids of the new tokens.
        read_tokens: tokens that the first pass read: those of the prompt that were not in the cache.
        seconds: wall time of each new token on this machine; the first one's includes the prompt.
        board_seconds: time of the board's exchanges for each new token, counted; None without a board.
        tokens_per_second: of the board, without the first token; None if the reply has no other.
        stop: reason for which it ended.
    """

    prompt: str
    text: str
    tokens: list[int]
    read_tokens: int
    seconds: list[float]
    board_seconds: list[float] | None
    tokens_per_second: float | None
    stop: Stop


class ComparedFigures(Figures):
    """Outputs of a board, compared with the integers.

    Attributes:
        outputs, mismatches, saturated: counts of outputs.
        first_mismatch: one line; empty if there is none.
    """

    outputs: int
    mismatches: int
    saturated: int
    first_mismatch: str


class ChatFigures(Figures):
    """Figures of a chat.

    Attributes:
        model: as it was named when it was quantized.
        template: whether the model has a chat template.
        port: of the board; None for the integers.
        codes: whether layers return output codes rather than membranes.
        speed: origin of the tokens a second of the replies.
        ok: no mismatch and no saturated output.
        budget: of the last token of the first pass, calculated; None if nothing was written.
        compared: outputs of the board; None without one.
    """

    model: str
    template: bool
    port: str | None
    codes: bool
    speed: Origin
    ok: bool
    replies: list[ReplyFigures]
    budget: BudgetFigures | None
    compared: ComparedFigures | None
