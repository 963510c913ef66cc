"""Sweeps: plans, fronts, and whole runs with a worker killed in the middle."""

import subprocess
from pathlib import Path

import pytest

from spikequant.gen.sweep.jobs import HardwareJob
from spikequant.gen.sweep.pareto import Point, labels, pareto_front, pareto_plot, sweep_table
from spikequant.gen.sweep.plan import SweepPlan, load_plan
from spikequant.gen.sweep.run import SweepJobs, plan_jobs, run_sweep
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.cluster import cluster_client
from spikequant.golden.support.errors import InputError
from support.models import save_smallest_llama

POINT = Point(
    spec="a", recipe="r", board="b", perplexity=20.0, cycles=1000.0, picojoules=5e6,
    luts=1000, ebrs=10, fmax_mhz=100.0, note="",
)  # fmt: skip


def changed(point: Point, **values: object) -> Point:
    return point.model_copy(update=values)


def test_a_plan_is_all_combinations(tmp_path: Path) -> None:
    file = tmp_path / "plan.toml"
    file.write_text('recipes = ["plain"]\n[spec]\npreset = "tiny"\nneurons = [8, 16]\nlanes = [1, 2]\n')
    plan = load_plan(str(file))
    specs = plan.specs()
    assert list(specs) == ["neurons=8 lanes=1", "neurons=8 lanes=2", "neurons=16 lanes=1", "neurons=16 lanes=2"]
    assert [(spec.neurons, spec.lanes, spec.depth) for spec in specs.values()] == [
        (8, 1, 64), (8, 2, 64), (16, 1, 64), (16, 2, 64),
    ]  # fmt: skip
    assert list(SweepPlan(spec={"preset": "tiny"}).specs()) == ["tiny"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("recipe = 1", "unknown key 'recipe'"),
        ('preset = "base"', "expected it in the table spec"),
        ("recipes = []", "recipes: "),
        ("context = 4", "traced_tokens: 8, expected at most 4"),
        ("[spec]\nneurons = []", "sweep: spec.neurons has no values"),
        ("[spec]\nneurons = [8, 9]", "sweep, neurons=9: neurons: 9 is not a multiple"),
        ("[spec]\nneuron = [8]", "unknown key 'neuron'"),
    ],
)
def test_bad_plans(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(InputError, match=message):
        load_plan(str(tmp_path / "plan.toml")).specs()


def test_the_front_is_what_nothing_beats() -> None:
    points = [
        POINT,
        changed(POINT, spec="smaller", luts=900),
        changed(POINT, spec="faster", fmax_mhz=120.0),
        changed(POINT, spec="better", perplexity=19.0, luts=2000),
        changed(POINT, spec="worse than smaller", luts=950, picojoules=6e6),
        changed(POINT, spec="too large", perplexity=1.0, luts=None, ebrs=None, fmax_mhz=None, note="does not fit"),
        changed(POINT, spec="as small", luts=900),
    ]
    assert pareto_front(points) == [False, True, True, True, False, False, True]
    assert pareto_plot(points).startswith(b"\x89PNG")
    assert sweep_table(points).row_count == 7


def test_without_boards_cycles_count() -> None:
    bare = changed(POINT, board="", luts=None, ebrs=None, fmax_mhz=None)
    points = [bare, changed(bare, cycles=900.0), changed(bare, perplexity=30.0, cycles=950.0)]
    assert pareto_front(points) == [False, True, False]
    assert pareto_plot(points).startswith(b"\x89PNG")


def test_a_plot_of_designs_that_do_not_fit_is_empty() -> None:
    assert pareto_plot([changed(POINT, note="does not fit")]).startswith(b"\x89PNG")


def test_points_too_near_to_each_other_have_one_label() -> None:
    across, up = [0.0, 1.0, 99.0, 100.0], [5.0, 5.0, 5.1, 9.0]
    assert labels([3, 0, 7, 9], across, up) == {(0.0, 5.0): "4, 1", (99.0, 5.1): "8", (100.0, 9.0): "10"}


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> SweepPlan:
    """24 points of a tiny language model, nothing built."""
    folder = tmp_path_factory.mktemp("model")
    save_smallest_llama(folder, key_value_heads=2)
    return SweepPlan(
        model=str(folder),
        recipes=["plain", "symmetric"],
        boards=[],
        spec={"preset": "tiny", "neurons": [8, 16, 32], "lanes": [1, 2], "depth": [32, 64]},
        calibration_tokens=256,
        scored_tokens=128,
        traced_tokens=3,
        context=64,
    )


def test_a_killed_worker_changes_nothing(
    scheduler: tuple[str, list[subprocess.Popen[bytes]]], plan: SweepPlan, tmp_path: Path
) -> None:
    address, workers = scheduler
    told: list[int] = []

    def kill_half_way() -> None:
        told.append(len(told))
        if len(told) == 10:
            workers[0].kill()

    with cluster_client(address, workers=1) as client:
        jobs = plan_jobs(plan, cache=tmp_path / "cache")
        points = run_sweep(client, jobs, kept=tmp_path / "kept", progress=kill_half_way)
        assert workers[0].wait() != 0
        undisturbed = run_sweep(client, jobs, kept=tmp_path / "other")
        # everything is kept, so nothing is handed to a worker
        counted: list[int] = []
        again = run_sweep(client, jobs, kept=tmp_path / "kept", progress=lambda: counted.append(1))
    assert len(points) == 24
    assert points == undisturbed == again
    assert len(told) == len(counted) == jobs.count == 2 + 24
    assert len(list((tmp_path / "kept").iterdir())) == jobs.count
    assert len({point.perplexity for point in points}) == 2
    cycles: dict[tuple[str, str], set[float]] = {}
    for point in points:
        cycles.setdefault((point.recipe, point.spec.partition(" depth")[0]), set()).add(point.cycles)
    # no layer is as deep as either memory; where results bind, lanes make no difference
    assert [len(found) for found in cycles.values()] == [1] * 12
    assert len({point.cycles for point in points}) == 9
    assert any(pareto_front(points))


def test_an_edit_during_a_sweep_changes_nothing_of_it(plan: SweepPlan, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan.model_copy(update={"boards": ["ulx3s_85f"], "spec": {"preset": "tiny"}})

    def digests(jobs: SweepJobs) -> list[str]:
        found = [*jobs.accuracy.values(), *jobs.activity.values(), *jobs.hardware.values()]
        return [job.digest for job in found]

    jobs = plan_jobs(plan)
    before = digests(jobs)
    monkeypatch.setattr("spikequant.gen.sweep.jobs.digest_sources", lambda package: f"another {package.__name__}")
    monkeypatch.setattr("spikequant.gen.sweep.run.digest_sources", lambda package: f"another {package.__name__}")
    assert digests(jobs) == before
    assert not set(digests(plan_jobs(plan))) & set(before)


def test_a_build_that_cannot_be_is_a_note(tmp_path: Path) -> None:
    spec = Spec(neurons=8, lanes=1, depth=16)
    job = HardwareJob.of(spec, "ulx3s_85f", frequency_mhz=1e6, seeds=1, cache=tmp_path)
    result = job.run()
    assert (result.luts, result.ebrs, result.fmax_mhz) == (None, None, None)
    assert "frequency" in result.note
