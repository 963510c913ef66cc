import pytest

from spikequant.golden.energy.models import (
    HOROWITZ,
    MAIN_MEMORY_22,
    MODELS,
    ON_CHIP_22,
    OPERATIONS_45,
    RECONSIDERED,
    ROUTED_22,
    Constant,
    EnergyModel,
)
from spikequant.golden.energy.work import Component, Kind, Work

WIDTHS = {
    Kind.INTEGER_ADD: [(5, 1), (20, 1)],
    Kind.INTEGER_MULTIPLY: [(4, 4), (8, 8)],
    Kind.FLOAT_ADD: [(16, 1), (32, 1)],
    Kind.FLOAT_MULTIPLY: [(16, 1), (32, 1)],
}


def price(model: EnergyModel, kind: Kind, bits: int = 1, by_bits: int = 1) -> float:
    return model.energy(Work(Component.ADD, kind, 1, bits, by_bits))


def prices(model: EnergyModel) -> list[float]:
    return [price(model, kind, *widths) for kind in Kind for widths in WIDTHS.get(kind, [(1, 1)])]


def with_doubled(model: EnergyModel, name: str) -> EnergyModel:
    constants = tuple(
        Constant(item.name, item.value * (2 if item.name == name else 1), item.unit, item.source)
        for item in model.constants
    )
    return EnergyModel(model.name, model.title, model.rules, constants, model.prices)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_every_constant_is_used_and_has_a_source(model: EnergyModel) -> None:
    assert len({constant.name for constant in model.constants}) == len(model.constants)
    for constant in model.constants:
        assert constant.value > 0
        assert constant.unit in {"pJ", "pJ/bit", "ratio"}
        assert HOROWITZ in constant.source or RECONSIDERED in constant.source or constant.source.startswith("scaled: ")
        assert prices(with_doubled(model, constant.name)) != prices(model)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.name)
def test_a_price_uses_only_listed_constants(model: EnergyModel) -> None:
    without = EnergyModel(model.name, model.title, model.rules, (), model.prices)
    for kind in Kind:
        for widths in WIDTHS.get(kind, [(1, 1)]):
            if kind in model.left_out:
                assert price(model, kind, *widths) == 0
            else:
                assert price(model, kind, *widths) > 0
                with pytest.raises(KeyError):
                    price(without, kind, *widths)


def test_published_numbers_in_45_nm() -> None:
    assert price(OPERATIONS_45, Kind.INTEGER_ADD, 8) == pytest.approx(0.03)
    assert price(OPERATIONS_45, Kind.INTEGER_ADD, 32) == pytest.approx(0.1)
    assert price(OPERATIONS_45, Kind.INTEGER_MULTIPLY, 8, 8) == pytest.approx(0.2)
    assert price(OPERATIONS_45, Kind.INTEGER_MULTIPLY, 32, 32) == pytest.approx(3.1, rel=0.04)
    assert price(OPERATIONS_45, Kind.FLOAT_ADD, 16) == 0.4
    assert price(OPERATIONS_45, Kind.FLOAT_ADD, 32) == 0.9
    assert price(OPERATIONS_45, Kind.FLOAT_MULTIPLY, 16) == 1.1
    assert price(OPERATIONS_45, Kind.FLOAT_MULTIPLY, 32) == 3.7


def test_scaled_numbers_in_45_nm() -> None:
    assert price(OPERATIONS_45, Kind.INTEGER_ADD, 4) == pytest.approx(0.03 - 4 * 0.07 / 24)
    assert price(OPERATIONS_45, Kind.INTEGER_MULTIPLY, 4, 5) == pytest.approx(0.2 * 20 / 64)


def test_22_nm() -> None:
    assert price(ON_CHIP_22, Kind.INTEGER_ADD, 14) == price(ON_CHIP_22, Kind.INTEGER_ADD, 46) == 0.05448
    assert price(ON_CHIP_22, Kind.INTEGER_MULTIPLY, 4, 4) == pytest.approx(0.05 * 0.5448)
    assert price(ON_CHIP_22, Kind.WEIGHT_READ) == pytest.approx(10 / 64 * 0.5448)
    assert price(ON_CHIP_22, Kind.CODE_MOVE) == 0.25
    assert price(MAIN_MEMORY_22, Kind.WEIGHT_FETCH) * 64 == 1300


def test_inputs_that_spike_are_moved_once() -> None:
    for model in (ON_CHIP_22, ROUTED_22, MAIN_MEMORY_22):
        assert (Kind.SPIKE_CODE_MOVE in model.left_out) != (Kind.SPIKE_MOVE in model.left_out)
    assert price(ROUTED_22, Kind.SPIKE_MOVE) == 3.0
