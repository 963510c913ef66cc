import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from spikequant.golden.energy.activity import EventCounts, GifCounts, LayerActivity
from spikequant.golden.energy.methods import FIRST_SPIKE, METHODS
from spikequant.golden.energy.models import MODELS
from spikequant.golden.energy.report import CLAIM, EnergyReport, evaluate_energy
from spikequant.golden.energy.show import plot_report, show_report
from spikequant.golden.layer.spec import PRESETS

SPEC = PRESETS["base"]

TYPICAL = EventCounts(
    active=700,
    spikes=700,
    normal_levels=1300,
    salient_codes=200,
    low_active=0,
    low_spikes=0,
    low_normal_levels=0,
    low_salient_codes=0,
    salient=25,
    silent=300,
    ticks=20,
    doublings=0,
    phases=2,
)
LARGE = LayerActivity(
    name="large",
    inputs=1000,
    outputs=1000,
    wide=0,
    tokens=3,
    events=TYPICAL,
    gif=GifCounts(active=990, binary=7500, signed_active=300, signed=500, bits=2000),
)
SMALL = LARGE.model_copy(
    update={
        "name": "small",
        "inputs": 10,
        "events": TYPICAL.model_copy(
            update={"active": 7, "spikes": 7, "normal_levels": 13, "salient_codes": 2, "salient": 1, "silent": 3}
        ),
        "gif": GifCounts(active=10, binary=75, signed_active=3, signed=5, bits=20),
    }
)


@pytest.fixture(scope="module")
def report() -> EnergyReport:
    return evaluate_energy([LARGE, SMALL], SPEC)


def ratio(report: EnergyReport, model: str, method: str) -> float:
    return next(item for item in report.models if item.name == model).energy[method].ratio


def test_totals_are_sums_over_components_and_layers(report: EnergyReport) -> None:
    apart = [evaluate_energy([layer], SPEC) for layer in (LARGE, SMALL)]
    assert [model.name for model in report.models] == [model.name for model in MODELS]
    for index, model in enumerate(report.models):
        assert list(model.energy) == [method.name for method in METHODS]
        for name, row in model.energy.items():
            assert row.picojoules == pytest.approx(sum(row.components.values()))
            alone = [part.models[index].energy[name] for part in apart]
            assert row.picojoules == pytest.approx(sum(part.picojoules for part in alone))
            assert row.best_ratio == pytest.approx(max(part.ratio for part in alone))
            assert row.lost_layers == sum(part.ratio < 1 for part in alone)
        assert model.energy[FIRST_SPIKE.name].ratio == 1


def test_the_energy_of_a_float_layer_by_hand() -> None:
    report = evaluate_energy([LARGE], SPEC)
    operations, on_chip = (model.energy["fp16"].picojoules for model in report.models[:2])
    assert operations == pytest.approx(1e6 * (1.1 + 0.4))
    # 1000 outputs fill 64 neurons 16 times
    moved = 0.25 * (16 * 1000 * 16 + 1000 * 16)
    assert on_chip == pytest.approx(0.5448 * (1.5e6 + 1.6e7 * 10 / 64) + moved)


def test_counts(report: EnergyReport) -> None:
    counts = report.counts
    assert counts["fp16"].float_operations == 2 * (1000 * 1000 + 10 * 1000)
    assert counts["fp16"].weight_bits_read == counts["fp16"].weight_bits_fetched == 16 * 1010 * 1000
    assert counts["spikequant-ttfs"].spikes == pytest.approx(707)
    assert counts["spikequant-count"].spikes == pytest.approx(1515)
    assert counts["spikellm-binary"].spikes == pytest.approx(7575)
    assert counts["spikequant-ttfs"].integer_multiplies == counts["w4a4-output"].spikes == 0


def test_verdicts_follow_the_ratios(report: EnergyReport) -> None:
    assert len(report.verdicts) == 4 * len(MODELS)
    for verdict in report.verdicts:
        assert verdict.ratio == ratio(report, verdict.model, verdict.method)
        assert verdict.holds == (verdict.ratio >= CLAIM)
        assert verdict.holds_in_a_layer == (verdict.best_ratio >= CLAIM)
    assert {verdict.holds for verdict in report.verdicts} == {True, False}


def test_claim_lines_say_where_it_holds_and_where_not() -> None:
    lines = evaluate_energy([LARGE], SPEC).claim_lines
    assert len(lines) == len(MODELS) + 1
    assert lines[0].startswith("45 nm, operations alone: holds against SpikeLLM-like, binary spikes (")
    assert "does not hold against Atom-like (" in lines[0]
    assert "weights from main memory: does not hold against Atom-like (" in lines[3]
    assert lines[-1].startswith("In total: holds in ")


def test_a_claim_that_only_a_layer_keeps_is_no_claim_for_the_model() -> None:
    # the second layer fires so often that all layers together stay below 4.6
    gif, events = LARGE.gif.model_copy(update={"binary": 0}), TYPICAL.model_copy(update={"spikes": 5000})
    busy = LARGE.model_copy(update={"name": "busy", "gif": gif, "events": events})
    lines = evaluate_energy([LARGE, busy], SPEC).claim_lines
    assert "45 nm, operations alone: holds in single layers only against SpikeLLM-like, binary spikes (" in lines[0]


def test_time_to_first_spike_loses_where_its_ticks_outweigh_its_spikes() -> None:
    small = evaluate_energy([SMALL], SPEC)
    large = evaluate_energy([LARGE], SPEC)
    assert ratio(small, "45nm-operations", "spikequant-mac") < 1 < ratio(large, "45nm-operations", "spikequant-mac")
    assert ratio(small, "22nm-on-chip", "w4a4-output") < 1 < ratio(large, "22nm-on-chip", "w4a4-output")
    assert "SpikeQuant's codes on a MAC (" in small.loss_lines[0]
    assert "SpikeQuant's codes on a MAC (" not in large.loss_lines[0]
    assert "W4A4 MAC, scale an output (" in small.loss_lines[1]


def test_the_file_holds_everything(report: EnergyReport, tmp_path: Path) -> None:
    report.write(tmp_path / "energy.json")
    assert EnergyReport.read(tmp_path / "energy.json", what="energy") == report
    figures = json.loads((tmp_path / "energy.json").read_text())
    assert {model["name"] for model in figures["models"]} == {model.name for model in MODELS}
    for model in figures["models"]:
        assert all(constant["source"] for constant in model["constants"])
        assert set(model["energy"]) == {method.name for method in METHODS}
        for energy in model["energy"].values():
            assert sum(energy["components"].values()) == pytest.approx(energy["picojoules"])
    assert set(figures["counts"]) == {method.name for method in METHODS}
    assert [layer["events"]["spikes"] for layer in figures["activity"]] == [700, 7]
    assert figures["config"]["neurons"] == SPEC.neurons
    assert len(figures["claim_lines"]) == len(MODELS) + 1


def test_the_page_has_every_constant_with_its_source(report: EnergyReport) -> None:
    written = StringIO()
    show_report(report, Console(width=250, file=written))
    page = written.getvalue()
    for model in report.models:
        for constant in model.constants:
            assert any(constant.name in line and constant.source[:60] in line for line in page.splitlines())
        assert model.title in page
    assert FIRST_SPIKE.title in page
    assert "Up to 4.6 times less energy" in page
    for line in report.claim_lines + report.loss_lines:
        assert line[:80] in page


def test_the_plot_is_a_png(report: EnergyReport) -> None:
    picture = plot_report(report)
    assert picture.startswith(b"\x89PNG\r\n\x1a\n")
    assert len(picture) > 20_000
