"""All of a benchmark: traces, cycles, builds; what is done is kept, so that a run that is broken off goes on there."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass
from pathlib import Path

import spikequant.benchmarks.twin.arithmetic
import spikequant.golden.layer.score
import spikequant.golden.layer.spec
import spikequant.golden.layer.tiling
import spikequant.golden.layer.vectors
import spikequant.rtl.cycles.throughput
import spikequant.rtl.cycles.token_cost
import spikequant.rtl.packet_sizes
import spikequant.rtl.result_queue
from spikequant.benchmarks import netlist as netlist_module
from spikequant.benchmarks import toggles as toggles_module
from spikequant.benchmarks import work as work_module
from spikequant.benchmarks.netlist import cell_models
from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.benchmarks.routing import Router, Seed, gather
from spikequant.benchmarks.shapes import ARRAYS, Array, Candidate, parse_shape
from spikequant.benchmarks.toggles import HARNESS, Toggles, count_toggles
from spikequant.benchmarks.traces import Traces
from spikequant.benchmarks.work import Work, layer_work, together
from spikequant.fpga.build.build import Tools
from spikequant.fpga.estimate.measurement import hardware_digest
from spikequant.golden.layer.spec import Spec
from spikequant.golden.layer.vectors import LayerVectors
from spikequant.golden.support.files import write_json
from spikequant.golden.support.store import cached_build, cached_folder, digest_of

Progress = Callable[[str], None]

COUNTING = (
    spikequant.benchmarks.twin.arithmetic,
    spikequant.golden.layer.score,
    spikequant.golden.layer.spec,
    spikequant.rtl.cycles.throughput,
    spikequant.golden.layer.tiling,
    spikequant.rtl.cycles.token_cost,
    spikequant.golden.layer.vectors,
    spikequant.rtl.result_queue,
    spikequant.rtl.packet_sizes,
    work_module,
)
"""Modules that cycles are counted with: they are counted again when one of these changes."""

CYCLES = "cycles.json"


@dataclass(frozen=True)
class Request:
    """What to measure.

    Attributes:
        shapes: specs by name, the most telling first.
        first: how many of them are built on all parts from all seeds before any other.
        arrays: which of the two are built; cycles are counted for both.
        devices: to build them on.
        seeds: of the placements, one or more.
        toggles: names of the shapes whose switched bits are counted.
        jobs: placements at a time.
        build: whether what is not kept from earlier runs is built, or else left out.
        cache: where results of earlier runs are.
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
        """How often progress is told."""
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
        """What progress calls it."""
        return f"{self.candidate.array} {self.candidate.shape} on {self.device}, seed {self.seed}"


def placements(request: Request) -> Iterator[Placement]:
    """All that are to be built, in the order in which they are.

    First come the most telling shapes, then all others; of either, every seed on all parts before the next seed, so
    that a run that is broken off has figures of many arrays, and from equally many seeds.
    """
    shapes = list(request.shapes.items())
    for some in (shapes[: request.first], shapes[request.first :]):
        for seed in request.seeds:
            for shape, spec in some:
                for device in request.devices:
                    for array in request.arrays:
                        yield Placement(Candidate(array, shape, spec), device, seed)


def count_work(spec: Spec, layers: Mapping[str, LayerVectors]) -> dict[str, Work]:
    """Cycles of all layers together, and of those of each width."""
    counted = [layer_work(spec, name, vectors) for name, vectors in layers.items()]
    widths = sorted({layer.inputs for layer in counted})
    return {
        ALL: together(counted),
        **{f"K={width}": together(layer for layer in counted if layer.inputs == width) for width in widths},
    }


def kept_work(spec: Spec, traces: Traces, *, cache: Path) -> dict[str, Work]:
    """The same, from the cache where it was counted before."""
    sources = [Path(str(module.__file__)).read_bytes() for module in COUNTING]
    digest = digest_of([traces.digest, spec.model_dump_json(), *sources])

    def write(folder: Path) -> None:
        write_json(folder / CYCLES, {name: asdict(work) for name, work in count_work(spec, traces.layers).items()})

    path = cached_build(cache, "cycles", digest, write) / CYCLES
    return {name: Work(**work) for name, work in json.loads(path.read_text(encoding="utf-8")).items()}


def kept_toggles(
    shape: str, traces: Traces, *, hardware: str, tools: Tools, build: bool, cache: Path
) -> tuple[Toggles, Toggles] | None:
    """Switched bits of both arrays of a shape, from the cache where they were counted before.

    Args:
        shape: its name.
        traces: of a model.
        hardware: digest of the sources that are elaborated.
        tools: to synthesize with.
        build: whether they are counted where they were not, or else left out.
        cache: where results of earlier runs are.

    Raises:
        ToggleError: a netlist does not give the golden model's results.
    """
    spec = parse_shape(shape)
    counting = (Path(toggles_module.__file__), Path(netlist_module.__file__), HARNESS, *cell_models())
    sources = [path.read_bytes() for path in counting]
    versions = repr(sorted(tools.versions().items()))
    digest = digest_of([traces.digest, hardware, shape, spec.model_dump_json(), versions, *sources])
    if not build and not cached_folder(cache, "switched", digest).is_dir():
        return None

    def write(folder: Path) -> None:
        for array in ARRAYS:
            found = count_toggles(Candidate(array, shape, spec), traces.tile, tools=tools, cache=cache)
            write_json(folder / f"{array}.json", asdict(found))

    folder = cached_build(cache, "switched", digest, write)
    one, twin = (Toggles(**json.loads((folder / f"{array}.json").read_text(encoding="utf-8"))) for array in ARRAYS)
    return one, twin


def _build(
    todo: Sequence[Placement], router: Router, *, jobs: int, progress: Progress
) -> Iterator[tuple[Placement, Seed]]:
    """Build placements in order, so many at a time; those that have not begun are left when one fails."""
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
    """Count cycles, build every array on every part, and count switched bits.

    What is there already is taken first. A keyboard interrupt ends the building: the benchmark then has what there is,
    and says what is missing.

    Args:
        request: what to measure.
        traces: of a model.
        model: what to call them.
        tools: that build.
        progress: told of each step that is over, ``request.steps`` times unless interrupted.

    Raises:
        ToggleError: a netlist does not give the golden model's results.
        ToolError: one that synthesizes for the switched bits failed.
    """
    # a long run elaborates what it began with, even if the sources are edited meanwhile
    hardware = hardware_digest()
    router = Router(tools, request.cache)
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

    def build(*, telling: bool) -> None:
        todo = [one for one in wanted if found[one] is None and (one.candidate.shape in first) is telling]
        for one, seed in _build(todo, router, jobs=request.jobs, progress=progress):
            found[one] = seed

    try:
        if request.build:
            build(telling=True)
        for shape in request.toggles:
            both = kept_toggles(shape, traces, hardware=hardware, tools=tools, build=request.build, cache=request.cache)
            toggles += [both] if both else []
            progress(f"{shape}: counted switched bits")
        if request.build:
            build(telling=False)
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
