"""Run of a sweep on a cluster; every result is kept as soon as it is finished."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from distributed import Client

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
from spikequant.golden.support.store import ResultFolder, default_cache_folder

Kind = TypeVar("Kind", bound=Result)


@dataclass(frozen=True)
class SweepJobs:
    """Jobs of a plan; points share the jobs that they have in common.

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
        """Number of all jobs."""
        return len(self.accuracy) + len(self.activity) + len(self.hardware)


def plan_jobs(plan: SweepPlan, *, cache: Path | None = None) -> SweepJobs:
    """The jobs of a plan.

    Args:
        plan: the sweep.
        cache: folder for builds on the machines that run the jobs; the user's cache folder by default.

    Raises:
        InputError: an unknown recipe, board or model, or an invalid spec.
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


def run_sweep(
    client: Client, jobs: SweepJobs, *, kept: Path | None = None, progress: Callable[[], None] = lambda: None
) -> list[Point]:
    """Run the jobs that earlier runs have not finished, and combine all results into points.

    Args:
        client: of the workers.
        jobs: of a plan.
        kept: local folder for results; in the user's cache folder by default.
        progress: called whenever the result of a job is there, kept or new.

    Returns:
        The points in the plan's order: specs, recipes, boards.

    Raises:
        InputError: a spec does not fit a recipe, or a text is too short.
    """
    folder = kept or default_cache_folder() / "sweep"

    def run_all(todo: Mapping[str, tuple[SweepJob, type[Result]]]) -> dict[str, Result]:
        found: dict[str, Result] = {}
        for digest, (_, kind) in todo.items():
            result = ResultFolder(folder, kind).find(digest, digest)
            if result is not None:
                found[digest] = result
                progress()
        missing = ((digest, job) for digest, (job, _) in todo.items() if digest not in found)
        for digest, result in run_jobs(client, run_job, missing):
            ResultFolder(folder, Result).keep(digest, digest, result)
            found[digest] = result
            progress()
        return found

    first: dict[str, tuple[SweepJob, type[Result]]] = {}
    first |= {job.digest: (job, Accuracy) for job in jobs.accuracy.values()}
    first |= {job.digest: (job, Hardware) for job in jobs.hardware.values()}
    found = run_all(first)
    # these read the quantized models
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
