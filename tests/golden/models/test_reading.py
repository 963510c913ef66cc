"""Windows fit into a model together with its prefix: here GPT-2, which has embeddings for 64 positions alone."""

from pathlib import Path

import pytest
import torch

from spikequant.golden.evaluation.methods import Calibration
from spikequant.golden.evaluation.pipeline import quantize_to_folder, training_windows
from spikequant.golden.evaluation.trace import trace_windows
from spikequant.golden.models.continuation import continue_prompt
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import add_prefix, choose_prefix
from spikequant.golden.models.reading import model_windows
from spikequant.golden.models.text import Corpus
from spikequant.golden.quantizer.recipe import Distillation, Recipe
from spikequant.golden.support.errors import InputError

POSITIONS = 64

pytestmark = pytest.mark.parametrize("family_model", ["gpt2"], indirect=True)

TRAINED = Recipe.model_validate(
    {
        "equalize": [],
        "prefix": "search",
        "weights": {"wide_fraction": 0.1},
        "activations": {"salient_rule": "outside"},
        "distillation": {"steps": 2, "batch": 2, "context": POSITIONS, "windows": 4, "generated": 2},
    }
)


@pytest.fixture
def calibration(tmp_path: Path, prose: str) -> Calibration:
    path = tmp_path / "prose.txt"
    path.write_text(prose)
    return Calibration(path, tokens=200, context=POSITIONS)


def lengths(windows: list[torch.Tensor]) -> set[int]:
    return {window.numel() for window in windows}


@torch.no_grad()
def test_windows_leave_room_for_the_prefix(family_model: LanguageModel, calibration: Calibration, prose: str) -> None:
    model, corpus = family_model.model, Corpus("prose", [prose])
    assert max(lengths(model_windows(family_model, corpus, tokens=200, context=POSITIONS).windows)) == POSITIONS
    add_prefix(model, (3, 5))
    room = POSITIONS - 2
    read = model_windows(family_model, corpus, tokens=200, context=POSITIONS)
    assert f"windows of {room}" in read.protocol
    trained = Recipe(distillation=Distillation(context=POSITIONS, batch=2))
    for windows in (
        read.windows,
        calibration.windows(family_model).windows,
        trace_windows(family_model, [prose], 100),
        training_windows(family_model, trained, calibration),
    ):
        assert max(lengths(windows)) == room
        model(windows[0][None])
    assert lengths(training_windows(family_model, trained, calibration)) == {room}
    continue_prompt(family_model, "ab", room - 2)
    with pytest.raises(InputError, match=f"expected at most {room} together"):
        continue_prompt(family_model, "ab", room - 1)


def test_more_than_the_positions_is_refused(family_model: LanguageModel, prose: str) -> None:
    with pytest.raises(InputError, match=f"ctx: {POSITIONS + 1}, expected {POSITIONS} at most"):
        model_windows(family_model, Corpus("prose", [prose]), tokens=200, context=POSITIONS + 1)


def test_a_prefix_is_chosen_on_full_windows(family_model: LanguageModel, calibration: Calibration) -> None:
    windows = calibration.windows(family_model).windows
    assert max(lengths(windows)) == POSITIONS
    assert len(choose_prefix(family_model.model, family_model.tokenizer, windows)) <= 1


def test_a_model_is_trained_on_full_windows_after_its_prefix(
    family_model: LanguageModel, calibration: Calibration, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # any prefix is good enough
    monkeypatch.setattr("spikequant.golden.models.prefix.WORTHWHILE", -100.0)
    quantize_to_folder(family_model, TRAINED, calibration, tmp_path / "out")
    assert (tmp_path / "out").is_dir()
