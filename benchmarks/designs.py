"""Elaborated arrays, each once for each state of the sources."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from threading import Lock, RLock
from types import ModuleType

import spikequant.benchmarks.twin
import spikequant.golden.layer
import spikequant.rtl
from spikequant.benchmarks.shapes import ARRAYS, Array, Candidate
from spikequant.fpga.build import core
from spikequant.fpga.build.build import NAME, Design
from spikequant.fpga.build.core import constrained_design, make_design
from spikequant.golden.support.digest import digest_sources
from spikequant.golden.support.store import cached_build, digest_of

SHARED = (spikequant.golden.layer, spikequant.rtl)

ELABORATED: Mapping[Array, tuple[ModuleType, ...]] = {"spiking": SHARED, "mac": (*SHARED, spikequant.benchmarks.twin)}
"""Packages that an array is elaborated from."""

CORE = Path(core.__file__)
"""Source of the registers around an array."""


def design_digest(design: Design) -> str:
    """SHA-256 over a design's files and commands, as hexadecimal digits: equal designs give equal results."""
    files = [part for name in sorted(design.files) for part in (name, design.files[name])]
    return digest_of([*files, repr(sorted(design.commands.items()))])


class Designs:
    """Designs of arrays, whose RTLIL is kept until the sources of that array change; safe to share between threads.

    The sources are those at the time of construction: a long run keeps what it elaborates from the modules that it
    has imported under their digest, even if the files are edited meanwhile.

    Args:
        cache: root of the cache.
    """

    def __init__(self, cache: Path) -> None:
        shared = (CORE.read_bytes(), version("amaranth"))
        self._cache = cache
        self._sources = {array: digest_of([*map(digest_sources, ELABORATED[array]), *shared]) for array in ARRAYS}
        self._locks: dict[Candidate, RLock] = {}
        self._all = Lock()

    def lock(self, candidate: Candidate) -> RLock:
        """The lock of a candidate, so that no two threads elaborate or synthesize it at once."""
        with self._all:
            return self._locks.setdefault(candidate, RLock())

    def design(self, candidate: Candidate, *, device: str, frequency_hz: float, registered: bool = True) -> Design:
        """The design of a candidate; arguments as ``spikequant.fpga.build.core.make_design``."""

        def elaborate(folder: Path) -> None:
            made = make_design(candidate.component, device=device, frequency_hz=frequency_hz, registered=registered)
            (folder / f"{NAME}.il").write_bytes(made.files[f"{NAME}.il"])

        parts = (self._sources[candidate.array], candidate.spec.model_dump_json(), str(registered))
        with self.lock(candidate):
            folder = cached_build(self._cache, "design", digest_of(parts), elaborate)
        text = (folder / f"{NAME}.il").read_text(encoding="utf-8")
        return constrained_design(text, device, {"clock" if registered else "clk": frequency_hz})
