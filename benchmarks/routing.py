"""Resources and clock of an array on a device, from one placement after another; results are kept."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

from spikequant.benchmarks.designs import Designs, design_digest
from spikequant.benchmarks.packing import TARGET_HZ, by_component
from spikequant.benchmarks.shapes import Candidate
from spikequant.fpga.boards import DEVICES, Resources
from spikequant.fpga.build import carry_ends
from spikequant.fpga.build.build import NAME, PLACEMENT, Design, Tools, place_and_route, synthesize
from spikequant.fpga.build.carry_ends import trim_carry_ends
from spikequant.fpga.build.core import BELOW
from spikequant.fpga.build.report import SlowestPath, component_of
from spikequant.fpga.estimate.estimate import synapse_blocks
from spikequant.fpga.toolchain import ToolError
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import ResultFolder, cached_build, digest_of

TRIMMED = "trimmed.json"

TRIMMER = Path(carry_ends.__file__)
"""Source of the netlist trimmer: netlists are trimmed again when it changes."""


class Seed(Figures):
    """One placement of an array on a device.

    Attributes:
        used: resources, the registers at the ports included; None without a routed design.
        luts, ffs: lookup tables and registers by component; those that the packer adds under ``packing``.
        fmax_mhz: clock that the slowest path allows; 0 without a routed design.
        skipped: why there is no routed design; else empty.
        slowest: that path, from component to component; None without a routed design.
    """

    used: Resources | None = None
    luts: Mapping[str, int] = {}
    ffs: Mapping[str, int] = {}
    fmax_mhz: float = 0.0
    skipped: str = ""
    slowest: SlowestPath | None = None


@dataclass(frozen=True)
class Routing:
    """An array on a device.

    Attributes:
        candidate: the array.
        device: a key of ``spikequant.fpga.boards.DEVICES``.
        seeds: seeds with a routed design.
        missing: seeds without a result.
        used: resources of the first seed, the registers at the ports included; None without a routed design.
        components: lookup tables by component; those that the packer adds under ``packing``.
        fmax_mhz: clock of each seed.
        slowest: the slowest path of each seed.
        skipped: why there is no routed design: the device is too small, or a tool failed; else empty.
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
        """Median clock over the seeds."""
        return median(self.fmax_mhz)


def gather(candidate: Candidate, device: str, found: Mapping[int, Seed | None]) -> Routing:
    """An array on a device, from the result of each seed, None where one is missing."""
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
    """Places and routes arrays, and keeps the results; safe to share between threads.

    Results are kept by the array's own design: an edit of the sources that leaves the design alone costs nothing.

    Args:
        tools: to build with.
        designs: elaborated arrays.
        cache: root of the cache.
    """

    def __init__(self, tools: Tools, designs: Designs, cache: Path) -> None:
        self._tools = tools
        self._designs = designs
        self._cache = cache
        self._trimmer = TRIMMER.read_bytes()
        self._results = ResultFolder(cache / "routing", Seed)
        self._digests: dict[tuple[Candidate, str], str] = {}

    def kept(self, candidate: Candidate, device: str, seed: int) -> Seed | None:
        """The result of an earlier run, or why the device cannot hold the array; None where neither is known."""
        needed, there_are = synapse_blocks(candidate.spec), DEVICES[device].ebrs
        if needed > there_are:
            return Seed(skipped=f"its weights alone take {needed} EBRs, the {device} has {there_are}")
        return self._results.find(*self._key(candidate, device, seed))

    def build(self, candidate: Candidate, device: str, seed: int) -> Seed:
        """Place and route, unless an earlier run did. Where a tool fails, its error is why the array is skipped."""
        key = self._key(candidate, device, seed)
        kept = self._results.find(*key)
        if kept is not None:
            return kept
        try:
            found = self._route(candidate, device, seed)
        except (InputError, ToolError) as error:
            found = Seed(skipped=str(error).removeprefix(f"{device}: "))
            if isinstance(error, ToolError) and error.killed:
                # out of memory or of time: another run may succeed
                return found
        self._results.keep(*key, found)
        return found

    def _design(self, candidate: Candidate, device: str) -> Design:
        return self._designs.design(candidate, device=device, frequency_hz=TARGET_HZ)

    def _key(self, candidate: Candidate, device: str, seed: int) -> tuple[str, str]:
        """Name and digest of a result: its design, tools, device and seed."""
        place = (candidate, device)
        if place not in self._digests:
            versions = repr(sorted(self._tools.versions().items()))
            parts = (design_digest(self._design(candidate, device)), repr(PLACEMENT), versions, self._trimmer)
            self._digests[place] = digest_of(parts)
        digest = digest_of([self._digests[place], str(seed)])
        return f"{candidate.array}-{candidate.shape}-{device}-{seed}-{digest[:16]}", digest

    def _route(self, candidate: Candidate, device: str, seed: int) -> Seed:
        design = self._design(candidate, device)
        with self._designs.lock(candidate):
            netlist = synthesize(design, self._tools, cache=self._cache)
            trimmed = _trimmed(netlist, trimmer=self._trimmer, cache=self._cache)
        routed = place_and_route(design, self._tools, trimmed, seed=seed, cache=self._cache)
        used = routed.report.used
        luts, ffs = by_component(netlist, used)
        # there are many routed designs, and the result holds all that is needed of each
        shutil.rmtree(routed.folder)
        slowest = routed.report.binding
        if slowest:
            start, end = (component_of(cell, below=BELOW) for cell in (slowest.start, slowest.end))
            slowest = replace(slowest, start=start, end=end)
        return Seed(used=used, luts=luts, ffs=ffs, fmax_mhz=routed.report.critical.achieved_mhz, slowest=slowest)


def _trimmed(netlist: Path, *, trimmer: bytes, cache: Path) -> bytes:
    """The netlist with its carry chains trimmed, once for all seeds and devices."""

    def write(folder: Path) -> None:
        (folder / TRIMMED).write_bytes(trim_carry_ends((netlist / f"{NAME}.json").read_bytes()).netlist)

    return (cached_build(cache, "trimmed", digest_of([netlist.name, trimmer]), write) / TRIMMED).read_bytes()
