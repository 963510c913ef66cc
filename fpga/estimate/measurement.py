"""What ``spikequant estimate`` goes by: prices fitted to packed accelerators, and the sites of a traced model."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from amaranth.back import rtlil

import spikequant.golden.layer
import spikequant.rtl
from spikequant.fpga.build.build import NAME
from spikequant.fpga.build.core import Device
from spikequant.fpga.estimate.prices import Prices, read_prices
from spikequant.golden.layer.spec import load_spec
from spikequant.golden.support.digest import digest_sources
from spikequant.golden.support.errors import InputError
from spikequant.golden.support.store import cached_build, default_cache_folder, digest_of
from spikequant.rtl.accelerator import Accelerator

DIGESTED = ("tiny", "base")
"""Presets whose RTLIL stands for the hardware: with a pair of lanes and with two."""

MEASURED = Path(__file__).with_name("measured.json")
"""What was last measured, beside this module; ``make prices`` writes it anew."""


@dataclass(frozen=True)
class Site:
    """The layers of one kind of a model, and what their inputs were on average.

    Attributes:
        name: of the kind.
        layers: N, the outputs of each layer.
        inputs: K.
        wide: columns with a low half.
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


@dataclass(frozen=True)
class Taken:
    """What an accelerator takes.

    Attributes:
        luts, ffs: by component.
        ebrs: block RAMs.
    """

    luts: Mapping[str, int]
    ffs: Mapping[str, int]
    ebrs: int


@dataclass(frozen=True)
class Measured:
    """What was last measured.

    Attributes:
        designs: what accelerators take, by the name of their shape.
        luts, ffs: prices by component and term, fitted to them.
        errors: largest relative error of ``luts``, ``ffs``, ``ebrs`` and ``cycles`` over these shapes; that of
            lookup tables and registers by the prices of all other shapes.
        largest: weight-ops a cycle of the largest of them.
        tools: versions by name.
        hardware: digest of the sources that the designs were made from.
        model: of the sites.
        sites: the model's layers by kind.
    """

    designs: Mapping[str, Taken]
    luts: Prices
    ffs: Prices
    errors: Mapping[str, float]
    largest: int
    tools: Mapping[str, str]
    hardware: str
    model: str
    sites: tuple[Site, ...]

    def figures(self) -> dict[str, Any]:
        """As ``load_measured`` reads it."""
        return asdict(self)

    @property
    def source(self) -> str:
        """Where it comes from, in one line."""
        tools = ", ".join(f"{name} {version}" for name, version in self.tools.items())
        return f"{len(self.designs)} packed accelerators ({', '.join(self.designs)}; {tools})"


def hardware_digest(*, cache: Path | None = None) -> str:
    """SHA-256 over the RTLIL of two accelerators for an ECP5, as hexadecimal digits.

    It changes with the hardware alone: neither comments nor the places of files count. It is computed once for
    each state of the sources, which takes seconds.

    Args:
        cache: root of the cache; the user's own by default.
    """
    sources = digest_of([digest_sources(spikequant.rtl), digest_sources(spikequant.golden.layer), version("amaranth")])

    def build(folder: Path) -> None:
        texts = (
            rtlil.convert(Accelerator(load_spec(preset)), name=NAME, platform=Device(), emit_src=False)
            for preset in DIGESTED
        )
        (folder / "digest").write_text(digest_of(texts), encoding="ascii")

    kept = cached_build(cache or default_cache_folder(), "hardware", sources, build)
    return (kept / "digest").read_text(encoding="ascii")


def _site(values: dict[str, Any]) -> Site:
    lists = {name: tuple(values[name]) for name in ("layers", "normal", "salient")}
    return Site(**(values | lists))


def load_measured(path: Path = MEASURED) -> Measured:
    """What was measured.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
        prices = {kind: read_prices(read[kind]) for kind in ("luts", "ffs")}
        designs = {name: Taken(**taken) for name, taken in read["designs"].items()}
        sites = tuple(_site(values) for values in read["sites"])
        return Measured(**(read | prices | {"designs": designs, "sites": sites}))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: cannot be read ({error}), expected what `make prices` writes") from None
