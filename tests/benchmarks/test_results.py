"""What a benchmark says of its builds and cycles."""

import io
from dataclasses import replace

import pytest
from rich.console import Console

from spikequant.benchmarks.plots import plots
from spikequant.benchmarks.presets import choose_preset, choose_presets
from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.benchmarks.tables import tables


def test_the_median_counts_and_not_the_best_seed(benchmark: Benchmark) -> None:
    first = benchmark.figures()["arrays"][0]
    assert (first["fmax_min_mhz"], first["fmax_median_mhz"], first["fmax_max_mhz"]) == (180, 190, 200)
    per_cycle = benchmark.work["8x4"][ALL].operations_per_cycle("spiking")
    assert first["effective_gops"][ALL] == pytest.approx(per_cycle * 0.19)
    assert first["luts_per_op"] == first["luts"] / 32


def test_what_another_shape_beats_in_everything_is_not_on_the_front(benchmark: Benchmark) -> None:
    assert [one.candidate.shape for one in benchmark.pareto("LFE5U-25F")] == ["8x4", "16x4", "32x4", "64x4"]
    assert benchmark.pareto("LFE5U-85F") == []


def test_the_comparison_has_the_shapes_of_which_both_are_there(benchmark: Benchmark) -> None:
    figures = benchmark.figures()
    (pair,) = figures["comparison"]
    assert (pair["shape"], pair["device"], pair["dsp_difference"]) == ("16x4", "LFE5U-25F", -2)
    assert pair["fmax_ratio"] == pytest.approx(190 / 150)
    assert pair["throughput_ratio"] == pytest.approx(pair["throughput_ratio_same_clock"] * 190 / 150)
    assert pair["spiking"]["luts_per_op"] == pytest.approx(pair["mac"]["luts_per_op"] / pair["lut_ratio"])
    assert "luts_per_op" not in pair["worse"]
    assert "fmax_median_mhz" not in pair["worse"]
    skipped = [one for one in figures["arrays"] if one["skipped"]]
    assert [(one["shape"], one["skipped"], "luts" in one) for one in skipped] == [("64x4", "too large", False)]


def test_tables_and_plots_show_every_array(benchmark: Benchmark) -> None:
    page = io.StringIO()
    for table in tables(benchmark):
        Console(file=page, width=300).print(table)
    text = page.getvalue()
    assert "skipped: too large" in text
    assert "no joules" in text
    assert "next is 32x4" in text
    assert "180.0 / 190.0 / 200.0, 3 seeds" in text
    assert "encoder to array 3" in text
    assert all(shape in text for shape in benchmark.work)
    images = plots(benchmark)
    assert set(images) == {"fmax.png", "cost.png", "pareto.png", "throughput.png", "toggles.png"}
    assert all(image.startswith(b"\x89PNG") and len(image) > 5000 for image in images.values())


def test_what_is_missing_is_told(benchmark: Benchmark) -> None:
    assert benchmark.missing() == []
    first, *others = benchmark.routings
    partial = replace(benchmark, routings=[replace(first, missing=(4, 5)), *others])
    assert partial.missing() == partial.figures()["missing"] == ["spiking 8x4 on LFE5U-25F: seed 4, 5"]
    page = io.StringIO()
    Console(file=page, width=300).print(tables(partial)[0])
    assert "180.0 / 190.0 / 200.0, 3 seeds of 5" in page.getvalue()


def test_switched_bits_stand_beside_the_twins(benchmark: Benchmark) -> None:
    figures = benchmark.figures()
    (pair,) = figures["toggles"]
    assert (pair["spiking"]["bits_per_operation"], pair["mac"]["bits_per_operation"]) == (4, 8)
    assert pair["ratio"] == 2
    assert "no joules" in figures["toggles_note"]


def test_the_preset_is_the_smallest_of_the_fastest(benchmark: Benchmark) -> None:
    gops = {one.candidate.shape: benchmark.effective_gops(one) for one in benchmark.routed()[:6]}
    assert max(gops, key=lambda shape: gops[shape]) == "64x4"
    choice = choose_preset(benchmark, "LFE5U-25F")
    assert choice is not None
    assert choice.shape == "64x4"
    assert "of 24288 LUT" in choice.reason
    assert "next is 32x4" in choice.reason
    assert choose_preset(benchmark, "LFE5U-85F") is None
    assert [one.device for one in choose_presets(benchmark)] == ["LFE5U-25F"]


def test_a_shape_that_is_as_fast_with_fewer_tables_is_chosen(benchmark: Benchmark) -> None:
    faster = [
        replace(one, fmax_mhz=(one.median_mhz * benchmark.effective_gops(benchmark.routed()[4]) / gops * 0.98,))
        for one in benchmark.routed()
        if (gops := benchmark.effective_gops(one)) and one.candidate.shape == "32x4"
    ]
    others = [one for one in benchmark.routings if one.candidate.shape != "32x4"]
    choice = choose_preset(replace(benchmark, routings=others + faster), "LFE5U-25F")
    assert choice is not None
    assert choice.shape == "32x4"
    assert "64x4: no more than 3% faster, with more LUT" in choice.reason
