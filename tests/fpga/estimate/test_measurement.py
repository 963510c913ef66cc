"""The file of measurements."""

import json
from pathlib import Path

import pytest

from spikequant.fpga.estimate.measurement import load_measured
from spikequant.fpga.estimate.prices import Priced, fit_prices, left_out_errors
from spikequant.fpga.estimate.surroundings import Extra, fit_surroundings, left_out_board_errors
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.golden.support.errors import InputError


@pytest.mark.parametrize("kind", ["luts", "ffs"])
def test_prices_and_errors_are_those_of_the_designs_in_the_file(kind: str) -> None:
    measured = load_measured()
    designs = {name: Priced(taken.spec, getattr(taken, kind)) for name, taken in measured.designs.items()}
    for component, prices in fit_prices(list(designs.values())).items():
        assert getattr(measured, kind)[component] == pytest.approx(prices, rel=1e-6, abs=1e-6)
    extras = [
        Extra(one.design, one.memory is not None, alone=designs[one.design].total, total=getattr(one, kind))
        for one in measured.boards
    ]
    assert measured.around[kind] == fit_surroundings(extras)
    on_boards = left_out_board_errors(extras, designs)
    assert len(on_boards) >= 4
    errors = left_out_errors(list(designs.values())) + on_boards
    assert measured.errors[kind] == pytest.approx(max(map(abs, errors)), rel=1e-6)
    assert measured.largest == max(design.spec.neurons * design.spec.lanes for design in designs.values())


def test_settings_beyond_the_measured_ones_are_found() -> None:
    measured = load_measured()
    assert measured.outside(Spec()) == []
    assert measured.outside(PRESETS["tiny"]) == []
    assert measured.outside(Spec(weight_bits=8, readout="ramp", output_bits=5)) == [
        "weight_bits 8 (4)",
        "readout ramp (halving)",
    ]
    assert measured.outside(Spec(neurons=256)) == ["neurons 256 (8 to 128)"]


def test_errors_are_within_the_goal() -> None:
    errors = load_measured().errors
    assert errors["luts"] < 0.10
    assert errors["cycles"] < 0.05
    assert errors["ebrs"] == 0


@pytest.mark.parametrize("text", ["", "{}", '{"luts": [1, 2]}', "[]"])
def test_damaged_measurements_are_one_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "measured.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"^measurements .*measured\.json: ") as caught:
        load_measured(path)
    assert "\n" not in str(caught.value)


def test_unknown_terms_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "measured.json"
    values = load_measured().model_dump(mode="json") | {"luts": {"array": {"room": 1.0}}}
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"measured\.json: luts: .*price of array: unknown term 'room'$"):
        load_measured(path)
