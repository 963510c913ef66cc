"""Measurements that estimates are based on: prices fitted to packed accelerators, and the sites of a traced model."""

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from amaranth.back import rtlil

import spikequant.golden.layer
import spikequant.rtl
from spikequant.fpga.build.build import NAME
from spikequant.fpga.estimate.prices import CheckedPrices
from spikequant.fpga.estimate.surroundings import OnBoard, Surroundings
from spikequant.golden.layer.settings import Settings
from spikequant.golden.layer.spec import Spec, load_spec
from spikequant.golden.support.digest import digest_sources
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.store import cached_build, default_cache_folder, digest_of
from spikequant.rtl.accelerator import Accelerator
from spikequant.rtl.fabric import Ecp5

DIGESTED = ("tiny", "base")
"""Presets whose RTLIL represents the hardware: with one pair of lanes and with two."""

MEASURED = Path(__file__).with_name("measured.json")
"""The last measurements; ``make prices`` writes them."""


class Site(Figures):
    """The layers of one kind of a model, and statistics of their inputs.

    Attributes:
        name: last part of the layers' names.
        layers: N, the outputs of each layer.
        inputs: K.
        wide: number of wide columns.
        normal: share of inputs with a normal level of magnitude 1, 2, ..., or a salient one without a shift.
        salient: share of inputs with a shifted salient code of magnitude 1, 2, ....
        shifted: share of tokens with such codes.
        doublings: average shift of these tokens.
    """

    name: str
    layers: tuple[int, ...]
    inputs: int
    wide: int
    normal: tuple[float, ...]
    salient: tuple[float, ...]
    shifted: float
    doublings: float


class Taken(Figures):
    """Resources of an accelerator.

    Attributes:
        spec: the accelerator.
        luts, ffs: lookup tables and flip-flops by component.
        ebrs: block RAMs.
    """

    spec: Spec
    luts: Mapping[str, int]
    ffs: Mapping[str, int]
    ebrs: int


class Measured(Figures):
    """Measurements of accelerators and of a model.

    Attributes:
        designs: resources of accelerators by name.
        luts, ffs: prices by component and term, fitted to them.
        boards: resources of some of them on boards.
        around: prices of ``luts``, ``ffs`` and ``ebrs`` of what boards have around an accelerator.
        errors: largest relative error of ``luts``, ``ffs``, ``ebrs`` and ``cycles`` over these designs, alone and on
            boards; for lookup tables and flip-flops, each one is estimated by prices fitted to all others.
        largest: weight-ops per cycle of the largest shape.
        tools: version of each tool by name.
        hardware: ``hardware_digest`` of the designs.
        model: name of the model that the sites are from.
        sites: the model's layers by kind.
    """

    designs: Mapping[str, Taken]
    luts: CheckedPrices
    ffs: CheckedPrices
    boards: tuple[OnBoard, ...]
    around: Mapping[str, Surroundings]
    errors: Mapping[str, float]
    largest: int
    tools: Mapping[str, str]
    hardware: str
    model: str
    sites: tuple[Site, ...]

    @property
    def source(self) -> str:
        """One line on the designs and tools."""
        tools = ", ".join(f"{name} {version}" for name, version in self.tools.items())
        return f"{len(self.designs)} packed accelerators ({', '.join(self.designs)}; {tools})"

    def outside(self, spec: Spec) -> list[str]:
        """Settings of a spec beyond those of all designs, each with what was measured: ``readout ramp (halving)``."""
        found = []
        for name in Settings.model_fields:
            value, known = getattr(spec, name), sorted({getattr(taken.spec, name) for taken in self.designs.values()})
            ordered = not isinstance(value, str)
            if not (known[0] <= value <= known[-1] if ordered else value in known):
                limits = f"{known[0]} to {known[-1]}" if ordered and len(known) > 1 else ", ".join(map(str, known))
                found.append(f"{name} {value} ({limits})")
        return found


def hardware_digest(*, cache: Path | None = None) -> str:
    """SHA-256 over the RTLIL of two accelerators for an ECP5, as hexadecimal digits.

    Only the hardware counts: neither comments nor the places of files. The digest takes seconds to compute and is
    cached for each state of the sources.

    Args:
        cache: root of the cache; the user's own by default.
    """
    sources = digest_of([digest_sources(spikequant.rtl), digest_sources(spikequant.golden.layer), version("amaranth")])

    def build(folder: Path) -> None:
        texts = (
            rtlil.convert(Accelerator(load_spec(preset)), name=NAME, platform=Ecp5(), emit_src=False)
            for preset in DIGESTED
        )
        (folder / "digest").write_text(digest_of(texts), encoding="ascii")

    kept = cached_build(cache or default_cache_folder(), "hardware", sources, build)
    return (kept / "digest").read_text(encoding="ascii")


def load_measured(path: Path = MEASURED) -> Measured:
    """Read the last measurements.

    Raises:
        InputError: the file is missing or damaged.
    """
    return Measured.read(path, what="measurements", expected="what `make prices` writes")
