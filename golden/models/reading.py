"""Text as a model reads it: windows of its tokenizer, after its start tokens or its prefix."""

from spikequant.golden.models.model import LanguageModel, check_context
from spikequant.golden.models.prefix import fit_window, prefix_tokens
from spikequant.golden.models.text import Corpus
from spikequant.golden.models.windows import TextWindows, corpus_windows, start_tokens


def model_starts(language_model: LanguageModel) -> list[int]:
    """Ids of the tokens that each text of a model begins with; none where its prefix holds them already."""
    starts = start_tokens(language_model.tokenizer)
    return [] if list(prefix_tokens(language_model.model)[: len(starts)]) == starts else starts


def model_windows(
    language_model: LanguageModel, corpus: Corpus, *, tokens: int, context: int, stride: int | None = None
) -> TextWindows:
    """Windows of text for a model; see ``corpus_windows``.

    Args:
        language_model: with its prefix, if it has one, whose tokens the windows do not repeat.
        corpus: plain texts.
        tokens: number of tokens to score.
        context: tokens in a window; fewer where the prefix takes some of the model's positions.
        stride: distance of overlapping windows; None for windows that do not overlap.

    Raises:
        InputError: a count out of range, more tokens in a window than the model has positions, no token to score, or
            a token beyond the vocabulary.
    """
    check_context(language_model.model, context)
    context = fit_window(language_model.model, context)
    return corpus_windows(
        language_model.tokenizer,
        corpus,
        tokens=tokens,
        context=context,
        stride=stride,
        vocabulary=language_model.vocabulary,
        starts=model_starts(language_model),
    )
