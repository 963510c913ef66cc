"""The file of measurements."""

import json
from pathlib import Path

import pytest

from spikequant.fpga.estimate.measurement import load_measured
from spikequant.fpga.estimate.prices import Priced, fit_prices, left_out_errors
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError


def spec_of(shape: str) -> Spec:
    """Sizes alone: prices depend on nothing else that the shapes differ in."""
    neurons, lanes, *clusters = map(int, shape.split("x"))
    return Spec(neurons=neurons, lanes=lanes, depth=512 * lanes, clusters=clusters[0] if clusters else 1)


@pytest.mark.parametrize("kind", ["luts", "ffs"])
def test_prices_and_errors_are_those_of_the_designs_in_the_file(kind: str) -> None:
    measured = load_measured()
    designs = [Priced(spec_of(shape), getattr(taken, kind)) for shape, taken in measured.designs.items()]
    for component, prices in fit_prices(designs).items():
        assert getattr(measured, kind)[component] == pytest.approx(prices, rel=1e-6, abs=1e-6)
    assert measured.errors[kind] == pytest.approx(max(map(abs, left_out_errors(designs))), rel=1e-6)
    assert measured.largest == max(design.spec.neurons * design.spec.lanes for design in designs)


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
