"""Windows that a tiny model writes: they go on from real ones, and what is done is not done again."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

import spikequant.golden.distillation.generated_text
from spikequant.golden.distillation.generated_text import KEPT, PROMPT_TOKENS, generate_windows
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.windows import token_windows

CONTEXT = 40

Write = Callable[..., list[Tensor]]


@pytest.fixture
def real(float_model: LanguageModel, prose: str) -> list[Tensor]:
    return [w for w in token_windows(float_model.tokenizer, [prose], tokens=300, context=CONTEXT) if len(w) == CONTEXT]


@pytest.fixture
def write(
    float_model: LanguageModel, real: list[Tensor], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Write, list[int]]:
    """Writes windows, three at a time; and how many were written at each call of the model."""
    calls: list[int] = []
    continued = spikequant.golden.distillation.generated_text._continued

    def counted(writer: object, prompts: Tensor, tokens: int, *, seed: int) -> list[Tensor]:
        calls.append(len(prompts))
        return continued(writer, prompts, tokens, seed=seed)

    monkeypatch.setattr(spikequant.golden.distillation.generated_text, "_continued", counted)
    monkeypatch.setattr(spikequant.golden.distillation.generated_text, "TOGETHER", 3)

    def run(count: int, *, seed: int = 0, folder: str = "kept") -> list[Tensor]:
        return generate_windows(float_model.model, real, count, starts=[], seed=seed, keep=tmp_path / folder)

    return run, calls


def test_windows_go_on_from_places_in_real_ones(write: tuple[Write, list[int]], real: list[Tensor]) -> None:
    run, calls = write
    windows = run(7)
    assert calls == [3, 3, 1]
    assert [(window.shape, window.dtype) for window in windows] == [((CONTEXT,), torch.int64)] * 7
    real_pieces = {tuple(w[i : i + PROMPT_TOKENS].tolist()) for w in real for i in range(CONTEXT - PROMPT_TOKENS + 1)}
    begun = [tuple(window[:PROMPT_TOKENS].tolist()) for window in windows]
    assert set(begun) <= real_pieces
    assert len(set(begun)) > 3
    assert len({tuple(window[PROMPT_TOKENS:].tolist()) for window in windows}) == 7


def test_the_seed_decides(write: tuple[Write, list[int]]) -> None:
    run, _ = write
    first, again, other = (torch.stack(run(3, seed=seed, folder=name)) for seed, name in ((0, "a"), (0, "b"), (5, "c")))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_users_random_numbers_stay_as_they_are(write: tuple[Write, list[int]]) -> None:
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    write[0](3)
    assert torch.equal(torch.rand(2), expected)


def test_nothing_is_written_twice(write: tuple[Write, list[int]], tmp_path: Path) -> None:
    run, calls = write
    whole = torch.stack(run(8, folder="whole"))
    calls.clear()
    run(3)
    assert torch.equal(torch.stack(run(8)), whole)
    assert calls == [3, 3, 2]
    calls.clear()
    assert torch.equal(torch.stack(run(8)), whole)
    assert run(0) == []
    assert calls == []
    # what belongs to something else, or is broken, is no use
    run(3, seed=1)
    kept = tmp_path / "kept" / KEPT
    kept.write_bytes(kept.read_bytes()[:-5])
    run(3, seed=1)
    assert calls == [3, 3]
