"""Checks of a model after a library has loaded it: libraries fill gaps with random numbers, and read NaN."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from spikequant.golden.models.windows import start_tokens
from spikequant.golden.support.errors import InputError

HARMLESS = re.compile(r"(^|\.)(inv_freq|masked_bias|position_ids|cos_cached|sin_cached|num_batches_tracked)$")
"""Tables that a model computes itself; older versions of the library wrote them into the files."""


def check_tensors(model: PreTrainedModel, report: Mapping[str, Any], name: str) -> None:
    """Refuse a file whose tensors are not those of the model.

    Args:
        model: the loaded model.
        report: loading info of transformers.
        name: of the model, for messages.

    Raises:
        InputError: a tensor is missing, left over, of another shape than in the configuration, or there are two that
            the configuration ties to each other.
    """
    for key, found, expected in sorted(report["mismatched_keys"]):
        raise InputError(f"model {name}: tensor {key} is {list(found)}, expected {list(expected)} by its configuration")
    unexpected = [key for key in report["unexpected_keys"] if not HARMLESS.search(key)]
    problems = [
        f"{_some(keys)} {kind}" for kind, keys in (("missing", report["missing_keys"]), ("unknown", unexpected)) if keys
    ]
    if problems:
        raise InputError(f"model {name}: {' and '.join(problems)}, expected the tensors of {type(model).__name__}")
    head = model.get_output_embeddings()
    stated = model.config.tie_word_embeddings and model._tied_weights_keys and head is not None
    if stated and _weight(head).data_ptr() != _weight(model.get_input_embeddings()).data_ptr():
        raise InputError(
            f"model {name}: embeddings and output head differ, "
            "expected equal ones, or tie_word_embeddings false in its configuration"
        )


def _some(names: Iterable[str]) -> str:
    first, *others = sorted(names)
    return f"{first} and {len(others)} other tensors are" if others else f"tensor {first} is"


def check_finite(model: PreTrainedModel, name: str) -> None:
    """Refuse a model with a NaN or an infinity in one of its tensors.

    Raises:
        InputError: there is one; the message names tensor and index.
    """
    for key, tensor in model.state_dict().items():
        finite = tensor.isfinite()
        if not bool(finite.all()):
            index = (~finite).nonzero()[0].tolist()
            raise InputError(
                f"model {name}: tensor {key} is {float(tensor[tuple(index)])} at {index}, expected finite numbers"
            )


def check_vocabulary(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, name: str) -> None:
    """Refuse a tokenizer whose tokens have no embedding. Special tokens that no plain text contains may have none.

    Raises:
        InputError: a token of plain text, or one at the start of each text, has none.
    """
    size = vocabulary_size(model)
    special = set(tokenizer.all_special_ids) | {
        index for index, token in tokenizer.added_tokens_decoder.items() if token.special
    }
    needed = {index: token for token, index in tokenizer.get_vocab().items() if index not in special}
    needed |= {index: str(tokenizer.convert_ids_to_tokens(index)) for index in start_tokens(tokenizer)}
    last = max(needed, default=-1)
    if last >= size:
        raise InputError(
            f"model {name}: token {needed[last]!r} of its tokenizer has id {last}, expected ids below {size}, "
            "the number of its embeddings"
        )


def vocabulary_size(model: PreTrainedModel) -> int:
    """Number of embeddings, above the largest token id."""
    return _weight(model.get_input_embeddings()).shape[0]


def _weight(module: Any) -> Tensor:
    weight = module.weight
    assert isinstance(weight, Tensor)
    return weight
