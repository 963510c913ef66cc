"""A whole benchmark: cycles, routed arrays, switched bits; finished parts are kept, so that a run resumes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import spikequant.benchmarks.twin
import spikequant.golden.layer
import spikequant.rtl.cycles
import spikequant.rtl.packet_sizes
import spikequant.rtl.result_queue
from spikequant.benchmarks import netlist as netlist_module
from spikequant.benchmarks import toggles as toggles_module
from spikequant.benchmarks import work as work_module
from spikequant.benchmarks.designs import Designs, design_digest
from spikequant.benchmarks.netlist import cell_models
from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.benchmarks.routing import Router, Seed, gather
from spikequant.benchmarks.shapes import ARRAYS, Array, Candidate, parse_shape
from spikequant.benchmarks.toggles import HARNESS, Toggles, count_toggles, toggle_design
from spikequant.benchmarks.traces import Traces
from spikequant.benchmarks.work import Work, layer_work, together
from spikequant.fpga.build.build import Tools
from spikequant.golden.layer.fusion import fused_neighbours
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.digest import digest_sources
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import ResultFolder, digest_of

Progress = Callable[[str], None]

COUNTING_PACKAGES = (spikequant.benchmarks.twin, spikequant.golden.layer, spikequant.rtl.cycles)
COUNTING_MODULES = (spikequant.rtl.packet_sizes, spikequant.rtl.result_queue, work_module)
"""Sources that cycles are counted with: cycles are counted again when one of these changes."""


class WorkFigures(Figures):
    """Cycles of one shape.

    Attributes:
        work: by name: ``all`` layers, and those of one width, such as ``K=576``.
    """

    work: Mapping[str, Work]


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        shapes: specs by name, the most informative first.
        first: number of shapes that are built on all devices from all seeds before the others.
        arrays: arrays to build; cycles are counted for both.
        devices: to build them on.
        seeds: of the placements, one or more.
        toggles: names of the shapes whose switched bits are counted.
        jobs: placements at a time.
        build: build what earlier runs did not; otherwise report it as missing.
        cache: root of the cache.
    """

    shapes: Mapping[str, Spec]
    first: int
    arrays: Sequence[Array]
    devices: Sequence[str]
    seeds: Sequence[int]
    toggles: Sequence[str]
    jobs: int
    build: bool
    cache: Path

    @property
    def steps(self) -> int:
        """Number of calls of ``progress``."""
        placements = len(self.arrays) * len(self.devices) * len(self.seeds)
        return len(self.shapes) * (1 + placements) + len(self.toggles)


@dataclass(frozen=True)
class Placement:
    """One placement of an array on a part."""

    candidate: Candidate
    device: str
    seed: int

    @property
    def title(self) -> str:
        """Name in progress lines."""
        return f"{self.candidate.array} {self.candidate.shape} on {self.device}, seed {self.seed}"


def placements(request: Request) -> Iterator[Placement]:
    """All placements of a request, in the order in which they are built.

    First the most informative shapes, then the others; within each group, every array on every device before the next
    seed, so that an interrupted run has figures of many arrays with about equally many seeds.
    """
    shapes = list(request.shapes.items())
    for some in (shapes[: request.first], shapes[request.first :]):
        for seed in request.seeds:
            for shape, spec in some:
                for device in request.devices:
                    for array in request.arrays:
                        yield Placement(Candidate(array, shape, spec), device, seed)


def count_work(spec: Spec, layers: Mapping[str, LayerVectors]) -> dict[str, Work]:
    """Cycles of all layers together, and of those of each width; layers that share their input run as one."""
    counted = [
        layer_work(spec, "+".join(names), fused, layers=len(names)) for names, fused in fused_neighbours(layers.items())
    ]
    widths = sorted({layer.inputs for layer in counted})
    return {
        ALL: together(counted),
        **{f"K={width}": together(layer for layer in counted if layer.inputs == width) for width in widths},
    }


def kept_work(spec: Spec, traces: Traces, *, cache: Path) -> Mapping[str, Work]:
    """The result of ``count_work`` for a spec, from the cache if an earlier run counted it."""
    sources = [Path(str(module.__file__)).read_bytes() for module in COUNTING_MODULES]
    digest = digest_of([traces.digest, spec.model_dump_json(), *map(digest_sources, COUNTING_PACKAGES), *sources])
    results = ResultFolder(cache / "cycles", WorkFigures)
    name = f"{spec.neurons}x{spec.lanes}x{spec.clusters}-{digest[:16]}"
    found = results.find(name, digest)
    if found is None:
        found = WorkFigures(work=count_work(spec, traces.layers))
        results.keep(name, digest, found)
    return found.work


def kept_toggles(
    candidate: Candidate, traces: Traces, *, designs: Designs, tools: Tools, build: bool, cache: Path
) -> Toggles | None:
    """Switched bits of an array, from the cache if an earlier run counted them.

    Args:
        candidate: the array.
        traces: of a model.
        designs: elaborated arrays.
        tools: to synthesize with.
        build: count what is not in the cache; otherwise return None.
        cache: root of the cache.

    Raises:
        ToggleError: the netlist's results differ from the golden model's.
        ToolError: Yosys failed.
    """
    counting = (Path(toggles_module.__file__), Path(netlist_module.__file__), HARNESS, *cell_models())
    sources = [path.read_bytes() for path in counting]
    versions = repr(sorted(tools.versions().items()))
    design = toggle_design(candidate, designs)
    digest = digest_of([traces.digest, design_digest(design), versions, *sources])
    results = ResultFolder(cache / "switched", Toggles)
    name = f"{candidate.array}-{candidate.shape}-{digest[:16]}"
    found = results.find(name, digest)
    if found is None and build:
        found = count_toggles(candidate, design, traces.tile, tools=tools, cache=cache)
        results.keep(name, digest, found)
    return found


def _build(
    todo: Sequence[Placement], router: Router, *, jobs: int, progress: Progress
) -> Iterator[tuple[Placement, Seed]]:
    """Build placements in order, ``jobs`` at a time; if one fails, those that have not started are dropped."""
    with ThreadPoolExecutor(max_workers=jobs) as pool:
        running: dict[Future[Seed], Placement] = {}
        waiting = iter(todo)
        try:
            while True:
                while len(running) < jobs and (one := next(waiting, None)):
                    running[pool.submit(router.build, one.candidate, one.device, one.seed)] = one
                if not running:
                    return
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    one, seed = running.pop(future), future.result()
                    progress(f"{one.title}: {seed.skipped or f'{seed.fmax_mhz:.1f} MHz'}")
                    yield one, seed
        finally:
            pool.shutdown(cancel_futures=True)


def run(request: Request, traces: Traces, *, model: str, tools: Tools, progress: Progress) -> Benchmark:
    """Count cycles, build every array on every device, and count switched bits.

    Results of earlier runs are used first. After a keyboard interrupt the benchmark has the results so far, and lists
    what is missing.

    Args:
        request: what to measure.
        traces: of a model.
        model: name for reports.
        tools: to build with.
        progress: called with a line after each step, ``request.steps`` times unless interrupted.

    Raises:
        ToggleError: a netlist's results differ from the golden model's.
        ToolError: synthesis for the switched bits failed.
    """
    designs = Designs(request.cache)
    router = Router(tools, designs, request.cache)
    work = {}
    for shape, spec in request.shapes.items():
        work[shape] = kept_work(spec, traces, cache=request.cache)
        progress(f"{shape}: counted cycles")
    wanted = list(placements(request))
    found: dict[Placement, Seed | None] = {}
    for one in wanted:
        found[one] = router.kept(one.candidate, one.device, one.seed)
        if found[one] is not None:
            progress(f"{one.title}: kept")
    toggles: list[tuple[Toggles, Toggles]] = []
    interrupted = False
    first = list(request.shapes)[: request.first]

    def build(*, priority: bool) -> None:
        todo = [one for one in wanted if found[one] is None and (one.candidate.shape in first) is priority]
        for one, seed in _build(todo, router, jobs=request.jobs, progress=progress):
            found[one] = seed

    try:
        if request.build:
            build(priority=True)
        for shape in request.toggles:
            spiking, mac = (
                kept_toggles(
                    Candidate(array, shape, parse_shape(shape)),
                    traces,
                    designs=designs,
                    tools=tools,
                    build=request.build,
                    cache=request.cache,
                )
                for array in ARRAYS
            )
            toggles += [(spiking, mac)] if spiking and mac else []
            progress(f"{shape}: counted switched bits")
        if request.build:
            build(priority=False)
    except KeyboardInterrupt:
        interrupted = True
    routings: dict[tuple[Candidate, str], dict[int, Seed | None]] = {}
    for one in wanted:
        routings.setdefault((one.candidate, one.device), {})[one.seed] = found[one]
    return Benchmark(
        routings=[gather(candidate, device, seeds) for (candidate, device), seeds in routings.items()],
        work=work,
        model=model,
        tools=tools.versions(),
        toggles=toggles,
        interrupted=interrupted,
    )
