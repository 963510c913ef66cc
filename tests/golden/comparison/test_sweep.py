import pytest

from spikequant.golden.comparison.sweep import at_bits, parse_bits, sweep_candidates
from spikequant.golden.evaluation.methods import Calibration
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.quantizer.recipe import Recipe
from spikequant.golden.support.errors import InputError


@pytest.mark.parametrize(
    ("text", "widths"), [("1-8", list(range(1, 9))), ("4", [4]), ("6-8, 2,3", [2, 3, 6, 7, 8]), ("2-4,3", [2, 3, 4])]
)
def test_lists_of_widths(text: str, widths: list[int]) -> None:
    assert parse_bits(text) == widths


@pytest.mark.parametrize("text", ["", "0-3", "9", "4-2", "two", "1-", "1,,2", "12"])
def test_other_lists_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"expected widths in 1\.\.8"):
        parse_bits(text)


def test_salient_codes_have_one_more_bit_up_to_eight() -> None:
    assert [at_bits(Recipe(), bits).activations.salient_bits for bits in (1, 4, 7, 8)] == [2, 5, 8, 8]
    assert at_bits(Recipe(), 3).weights.bits == at_bits(Recipe(), 3).activations.bits == 3
    without = Recipe.model_validate({"activations": {"salient_bits": 0}})
    assert at_bits(without, 3).activations.salient_bits == 0


def test_the_float_model_comes_first_and_stays(float_model: LanguageModel) -> None:
    def untouched() -> LanguageModel:
        return float_model

    candidates = sweep_candidates([2, 4], Recipe(), Calibration(), untouched=untouched, float_model=untouched)
    assert [(candidate.method, candidate.bits) for candidate in candidates] == [
        ("fp", None),
        ("rtn", 2),
        ("spikequant", 2),
        ("rtn", 4),
        ("spikequant", 4),
    ]
    assert len({candidate.digest for candidate in candidates}) == 5
    assert candidates[0].build().model is float_model.model
