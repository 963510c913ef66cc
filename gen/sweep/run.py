"""All points of a sweep on a cluster, each result kept as soon as it is there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distributed import Client
from pydantic import ValidationError

import spikequant.golden
from spikequant.fpga.boards import find_board
from spikequant.gen.sweep.jobs import (
    Accuracy,
    AccuracyJob,
    Activity,
    ActivityJob,
    Hardware,
    HardwareJob,
    Result,
    SweepJob,
    run_job,
)
from spikequant.gen.sweep.pareto import Point
from spikequant.gen.sweep.plan import SweepPlan
from spikequant.golden.evaluation.pipeline import check_storable
from spikequant.golden.models.model import load_model
from spikequant.golden.quantizer.recipe import load_recipe
from spikequant.golden.support.cluster import run_jobs
from spikequant.golden.support.digest import digest_model, digest_sources
from spikequant.golden.support.files import write_text
from spikequant.golden.support.store import default_cache_folder

Kind = TypeVar("Kind", bound=Result)


@dataclass(frozen=True)
class SweepJobs:
    """What a plan comes to: each thing computed once, whatever number of points share it.

    Attributes:
        accuracy: by recipe.
        activity: by spec and recipe.
        hardware: by spec and board.
    """

    accuracy: dict[str, AccuracyJob]
    activity: dict[tuple[str, str], ActivityJob]
    hardware: dict[tuple[str, str], HardwareJob]

    @property
    def count(self) -> int:
        """Of all jobs."""
        return len(self.accuracy) + len(self.activity) + len(self.hardware)


def plan_jobs(plan: SweepPlan, *, cache: Path | None = None) -> SweepJobs:
    """The jobs of a plan.

    Args:
        plan: the sweep.
        cache: for what jobs keep on the machines that run them; their user's own by default.

    Raises:
        InputError: an unknown recipe, board or model, or a spec that cannot be.
    """
    specs = plan.specs()
    recipes = {name: load_recipe(name) for name in plan.recipes}
    for recipe in recipes.values():
        check_storable(recipe)
    for board in plan.boards:
        find_board(board)
    digest, sources = digest_model(load_model(plan.model).model), digest_sources(spikequant.golden)
    accuracy = {
        name: AccuracyJob(
            model=plan.model,
            model_digest=digest,
            recipe=recipe,
            calibration_tokens=plan.calibration_tokens,
            scored_tokens=plan.scored_tokens,
            context=plan.context,
            sources=sources,
            cache=cache,
        )
        for name, recipe in recipes.items()
    }
    return SweepJobs(
        accuracy=accuracy,
        activity={
            (spec, recipe): ActivityJob(quantized, values, plan.traced_tokens)
            for spec, values in specs.items()
            for recipe, quantized in accuracy.items()
        },
        hardware={
            (spec, board): HardwareJob.of(
                values, board, frequency_mhz=plan.frequency_mhz, seeds=plan.seeds, cache=cache
            )
            for spec, values in specs.items()
            for board in plan.boards
        },
    )


class _Kept:
    """Results by digest, as files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, digest: str, kind: type[Kind]) -> Kind | None:
        try:
            return kind.model_validate_json((self._folder / f"{digest}.json").read_text(encoding="utf-8"))
        except (OSError, ValidationError):
            return None

    def write(self, digest: str, result: Result) -> None:
        write_text(self._folder / f"{digest}.json", result.model_dump_json() + "\n")


def run_sweep(
    client: Client, jobs: SweepJobs, *, kept: Path | None = None, progress: Callable[[], None] = lambda: None
) -> list[Point]:
    """Run what earlier runs have not, and put the points together.

    Args:
        client: of the workers.
        jobs: of a plan.
        kept: folder for results, here; in the user's own cache by default.
        progress: told whenever a job is done, kept ones included.

    Returns:
        The points in the plan's order: specs, recipes, boards.

    Raises:
        InputError: a spec does not fit a recipe, or a text is too short.
    """
    results = _Kept(kept or default_cache_folder() / "sweep")

    def run_all(todo: Mapping[str, tuple[SweepJob, type[Result]]]) -> dict[str, Result]:
        found: dict[str, Result] = {}
        for digest, (_, kind) in todo.items():
            result = results.read(digest, kind)
            if result is not None:
                found[digest] = result
                progress()
        missing = ((digest, job) for digest, (job, _) in todo.items() if digest not in found)
        for digest, result in run_jobs(client, run_job, missing):
            results.write(digest, result)
            found[digest] = result
            progress()
        return found

    first: dict[str, tuple[SweepJob, type[Result]]] = {}
    first |= {job.digest: (job, Accuracy) for job in jobs.accuracy.values()}
    first |= {job.digest: (job, Hardware) for job in jobs.hardware.values()}
    found = run_all(first)
    # they read the quantized models
    found |= run_all({job.digest: (job, Activity) for job in jobs.activity.values()})

    def result_of(job: SweepJob, kind: type[Kind]) -> Kind:
        result = found[job.digest]
        assert isinstance(result, kind)
        return result

    points = []
    for (spec, recipe), activity_job in jobs.activity.items():
        accuracy = result_of(jobs.accuracy[recipe], Accuracy)
        activity = result_of(activity_job, Activity)
        builds = {board: result_of(job, Hardware) for (built, board), job in jobs.hardware.items() if built == spec}
        for board, hardware in builds.items() or [("", Hardware())]:
            points.append(
                Point(
                    spec=spec,
                    recipe=recipe,
                    board=board,
                    perplexity=accuracy.perplexity,
                    cycles=activity.cycles,
                    picojoules=activity.picojoules,
                    luts=hardware.luts,
                    ebrs=hardware.ebrs,
                    fmax_mhz=hardware.fmax_mhz,
                    note=hardware.note,
                )
            )
    return points
