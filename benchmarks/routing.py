"""What an array takes of a part, and how fast it is there, from one seed after the other; results are kept."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from statistics import median
from threading import Lock

from spikequant.benchmarks.packing import TARGET_HZ, by_component
from spikequant.benchmarks.shapes import Candidate
from spikequant.fpga.boards import DEVICES, Resources
from spikequant.fpga.build import carry_ends, core
from spikequant.fpga.build.build import NAME, PLACEMENT, Design, Tools, place_and_route, synthesize
from spikequant.fpga.build.carry_ends import trim_carry_ends
from spikequant.fpga.build.core import BELOW, device_commands, loaded_design, make_design
from spikequant.fpga.build.report import SlowestPath, component_of
from spikequant.fpga.estimate.estimate import synapse_blocks
from spikequant.fpga.estimate.measurement import hardware_digest
from spikequant.fpga.toolchain import ToolError
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.files import write_json
from spikequant.golden.support.store import cached_build, cached_folder, digest_of

KIND = "routing"
"""Of folders in the cache."""

RECORD = "routing.json"

DIGEST = "digest"

CORE = Path(core.__file__)
"""What puts registers around an array."""

TRIMMED = "trimmed.json"

TRIMMER = Path(carry_ends.__file__)
"""What trims netlists: they are trimmed again when it changes."""


@dataclass(frozen=True)
class Seed:
    """One placement of an array on a part.

    Attributes:
        used: what it takes, the registers at the ports included; None where there is no routed design.
        luts, ffs: by component; what the packer adds counts under ``packing``.
        fmax_mhz: that the slowest path allows.
        skipped: why there is no routed design; else empty.
        slowest: that path, whose ends are named as components; none where there is no routed design.
    """

    used: Resources | None
    luts: Mapping[str, int]
    ffs: Mapping[str, int]
    fmax_mhz: float
    skipped: str = ""
    slowest: SlowestPath | None = None


@dataclass(frozen=True)
class Routing:
    """An array on a part.

    Attributes:
        candidate: which array.
        device: which part.
        seeds: of the placements that are there.
        missing: of those that are not, yet.
        used: what the first seed takes, the registers at the ports included; None where there is no routed design.
        components: lookup tables by component, those that the packer adds under ``packing``.
        fmax_mhz: of each seed, in MHz.
        slowest: the path that binds each seed's clock.
        skipped: why there is no routed design, if the part does not hold the array or a tool gives up; else empty.
    """

    candidate: Candidate
    device: str
    seeds: tuple[int, ...]
    used: Resources | None
    components: Mapping[str, int]
    fmax_mhz: tuple[float, ...]
    slowest: tuple[SlowestPath, ...] = ()
    skipped: str = ""
    missing: tuple[int, ...] = ()

    @property
    def median_mhz(self) -> float:
        """The middle of the seeds, not the best."""
        return median(self.fmax_mhz)


def gather(candidate: Candidate, device: str, found: Mapping[int, Seed | None]) -> Routing:
    """An array on a part, from what there is of each seed."""
    done = {seed: one for seed, one in found.items() if one is not None}
    routed = {seed: one for seed, one in done.items() if one.used is not None}
    first = next(iter(routed.values()), None)
    return Routing(
        candidate,
        device,
        seeds=tuple(routed),
        used=first.used if first else None,
        components=first.luts if first else {},
        fmax_mhz=tuple(one.fmax_mhz for one in routed.values()),
        slowest=tuple(one.slowest for one in routed.values() if one.slowest),
        skipped="" if first else next((one.skipped for one in done.values()), ""),
        missing=tuple(seed for seed in found if seed not in done),
    )


class Router:
    """Builds arrays, and keeps what came of it; several threads may ask at once.

    Each array is elaborated once as long as the sources of the hardware are the same, and synthesized once as long as
    its design is, whatever the parts and seeds. Where an edit of the sources leaves the design alone, nothing is built
    anew. The sources are those of when the router was made, however long it builds.
    """

    def __init__(self, tools: Tools, cache: Path) -> None:
        """Where to build.

        Args:
            tools: with what.
            cache: where results of earlier runs are.
        """
        self._tools = tools
        self._cache = cache
        self._locks: dict[Candidate, Lock] = {}
        self._all = Lock()
        self._sources = (hardware_digest(), CORE.read_bytes(), version("amaranth"))
        self._trimmer = TRIMMER.read_bytes()

    def kept(self, candidate: Candidate, device: str, seed: int) -> Seed | None:
        """The result of an earlier run; none where there is none."""
        needed, there_are = synapse_blocks(candidate.spec), DEVICES[device].ebrs
        if needed > there_are:
            return _skipped(f"its weights alone take {needed} EBRs, the {device} has {there_are}")
        elaborated = self._elaborated(candidate)
        if not elaborated.is_dir():
            return None
        folder = cached_folder(self._cache, KIND, self._digest(elaborated, device, seed))
        return _read(folder / RECORD) if folder.is_dir() else None

    def build(self, candidate: Candidate, device: str, seed: int) -> Seed:
        """Place and route, unless an earlier run did. What a tool fails with is why an array is skipped."""
        with self._lock(candidate):
            design = self._design(candidate, device)
        digest = self._digest(self._elaborated(candidate), device, seed)
        folder = cached_folder(self._cache, KIND, digest)
        if folder.is_dir():
            return _read(folder / RECORD)
        try:
            found = self._route(candidate, design, seed)
        except (InputError, ToolError) as error:
            found = _skipped(str(error).removeprefix(f"{device}: "))
            if isinstance(error, ToolError) and error.killed:
                # another run may have the memory, or the time
                return found
        cached_build(self._cache, KIND, digest, lambda fresh: write_json(fresh / RECORD, asdict(found)))
        return found

    def _lock(self, candidate: Candidate) -> Lock:
        with self._all:
            return self._locks.setdefault(candidate, Lock())

    def _elaborated(self, candidate: Candidate) -> Path:
        """Where the design of an array is, if it was elaborated from these sources."""
        spec = candidate.spec.model_dump_json()
        return cached_folder(self._cache, "design", digest_of([*self._sources, candidate.array, spec]))

    def _design(self, candidate: Candidate, device: str) -> Design:
        """For a part; only the commands depend on which."""
        folder = self._elaborated(candidate)

        def write(fresh: Path) -> None:
            design = make_design(candidate.component, device=device, frequency_hz=TARGET_HZ)
            for name, content in design.files.items():
                (fresh / name).write_bytes(content)
            (fresh / DIGEST).write_text(digest_of(design.files[name] for name in sorted(design.files)))

        cached_build(self._cache, "design", folder.name.partition("-")[2], write)
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.name != DIGEST}
        return loaded_design(files, device=device)

    def _digest(self, elaborated: Path, device: str, seed: int) -> str:
        """Of a routing: its design, its tools, its part and seed."""
        versions = sorted(self._tools.versions().items())
        commands = device_commands(device), PLACEMENT
        parts = ((elaborated / DIGEST).read_text(), repr(commands), repr(versions), str(seed))
        return digest_of([*parts, self._trimmer])

    def _route(self, candidate: Candidate, design: Design, seed: int) -> Seed:
        with self._lock(candidate):
            netlist = synthesize(design, self._tools, cache=self._cache)
            trimmed = _trimmed(netlist, trimmer=self._trimmer, cache=self._cache)
        routed = place_and_route(design, self._tools, trimmed, seed=seed, cache=self._cache)
        used = routed.report.used
        luts, ffs = by_component(netlist, used)
        # the record has all that is wanted of it, and there are many of them
        shutil.rmtree(routed.folder)
        slowest = routed.report.binding
        if slowest:
            start, end = (component_of(cell, below=BELOW) for cell in (slowest.start, slowest.end))
            slowest = replace(slowest, start=start, end=end)
        return Seed(used=used, luts=luts, ffs=ffs, fmax_mhz=routed.report.critical.achieved_mhz, slowest=slowest)


def _skipped(reason: str) -> Seed:
    return Seed(used=None, luts={}, ffs={}, fmax_mhz=0.0, skipped=reason)


def _trimmed(netlist: Path, *, trimmer: bytes, cache: Path) -> bytes:
    """The netlist with its carry chains trimmed by that source, for all seeds and parts."""

    def write(folder: Path) -> None:
        (folder / TRIMMED).write_bytes(trim_carry_ends((netlist / f"{NAME}.json").read_bytes()).netlist)

    return (cached_build(cache, "trimmed", digest_of([netlist.name, trimmer]), write) / TRIMMED).read_bytes()


def _read(path: Path) -> Seed:
    read = json.loads(path.read_text(encoding="utf-8"))
    used, slowest = read["used"], read["slowest"]
    return Seed(**read | {"used": used and Resources(**used), "slowest": slowest and SlowestPath(**slowest)})
