"""All figures of a benchmark, and the comparison of the arrays."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from spikequant.benchmarks.routing import Routing
from spikequant.benchmarks.shapes import ARRAYS, Array
from spikequant.benchmarks.toggles import CAVEAT, Toggles, toggle_figures
from spikequant.benchmarks.work import COUNTED, STAGES, Work
from spikequant.fpga.boards import Resources
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError

COSTS = ("luts_per_op", "ebrs", "dsps")
"""Figures of a comparison where less is better."""

ALL = "all"
"""Name of the total over all layers; other names stand for the layers of one width."""


@dataclass(frozen=True)
class Benchmark:
    """A finished benchmark.

    Attributes:
        routings: every array on every device, some skipped with a reason.
        work: by shape, then by name: ``all`` layers, and those of one width, such as ``K=576``.
        model: whose layers were traced.
        tools: versions by name.
        toggles: what both arrays of some shapes switch, the accelerator first.
        interrupted: the run was interrupted.
    """

    routings: Sequence[Routing]
    work: Mapping[str, Mapping[str, Work]]
    model: str
    tools: Mapping[str, str]
    toggles: Sequence[tuple[Toggles, Toggles]] = ()
    interrupted: bool = False

    def routed(self) -> list[Routing]:
        """Arrays with a routed design."""
        return [routing for routing in self.routings if routing.used is not None]

    def accelerators(self, device: str) -> list[tuple[Routing, Resources]]:
        """Routed accelerators on a device, and their resources."""
        return [
            (routing, routing.used)
            for routing in self.routings
            if routing.used and routing.device == device and routing.candidate.array == "spiking"
        ]

    def missing(self) -> list[str]:
        """Placements without a result, a line for each array on a device."""
        return [
            f"{one.candidate.array} {one.candidate.shape} on {one.device}: seed {', '.join(map(str, one.missing))}"
            for one in self.routings
            if one.missing
        ]

    def effective_gops(self, routing: Routing, layers: str = ALL) -> float:
        """Useful weight-ops a second at the median clock, in units of 1e9."""
        candidate = routing.candidate
        work = self.work[candidate.shape][layers]
        return work.operations_per_cycle(candidate.array) * routing.median_mhz / 1e3

    def pairs(self) -> list[tuple[Routing, Routing]]:
        """Pairs of accelerator and twin of the same shape that are both routed on a device."""
        found = {(one.candidate.array, one.candidate.shape, one.device): one for one in self.routed()}
        return [
            (one, twin)
            for one in self.routed()
            if one.candidate.array == "spiking" and (twin := found.get(("mac", one.candidate.shape, one.device)))
        ]

    def pareto(self, device: str) -> list[Routing]:
        """Accelerators on a device that are Pareto-optimal in LUT, EBR and throughput."""
        points = [
            (routing, (used.luts, used.ebrs, -self.effective_gops(routing)))
            for routing, used in self.accelerators(device)
        ]
        return [routing for routing, point in points if not any(_dominates(other, point) for _, other in points)]

    def comparison(self) -> list[dict[str, Any]]:
        """Figures of each accelerator and its twin."""
        return [self._pair(one, twin) for one, twin in self.pairs()]

    def figures(self) -> dict[str, Any]:
        """Contents of the JSON file."""
        return {
            "model": self.model,
            "counted": COUNTED,
            "arrays": [self._routing(routing) for routing in self.routings],
            "work": {
                shape: {name: work_figures(work) for name, work in layers.items()}
                for shape, layers in self.work.items()
            },
            "comparison": self.comparison(),
            "pareto": {
                device: [routing.candidate.shape for routing in self.pareto(device)]
                for device in dict.fromkeys(routing.device for routing in self.routings)
            },
            "toggles": [
                {"shape": one.shape, "ratio": twin.per_operation / one.per_operation}
                | {toggles.array: toggle_figures(toggles) for toggles in (one, twin)}
                for one, twin in self.toggles
            ],
            "toggles_note": CAVEAT,
            "tools": dict(self.tools),
            "missing": self.missing(),
        }

    def _routing(self, routing: Routing) -> dict[str, Any]:
        candidate = routing.candidate
        figures: dict[str, Any] = {
            "array": candidate.array,
            "shape": candidate.shape,
            "spec": candidate.spec.model_dump(),
            "device": routing.device,
            "operations_per_cycle": candidate.operations,
            "seeds": list(routing.seeds),
            "missing_seeds": list(routing.missing),
            "skipped": routing.skipped or None,
        }
        if routing.used is None:
            return figures
        used = asdict(routing.used)
        return figures | {
            **used,
            "luts_by_component": dict(routing.components),
            **{f"{name}_per_op": count / candidate.operations for name, count in used.items()},
            "fmax_mhz": list(routing.fmax_mhz),
            "fmax_min_mhz": min(routing.fmax_mhz),
            "fmax_median_mhz": routing.median_mhz,
            "fmax_max_mhz": max(routing.fmax_mhz),
            "slowest_paths": [asdict(path) for path in routing.slowest],
            "effective_gops": {name: self.effective_gops(routing, name) for name in self.work[candidate.shape]},
        }

    def _pair(self, one: Routing, twin: Routing) -> dict[str, Any]:
        assert one.used is not None
        assert twin.used is not None
        mine, its = self._side(one), self._side(twin)
        return {
            "shape": one.candidate.shape,
            "device": one.device,
            "spiking": mine,
            "mac": its,
            "lut_ratio": twin.used.luts / one.used.luts,
            "fmax_ratio": one.median_mhz / twin.median_mhz,
            "ebr_difference": one.used.ebrs - twin.used.ebrs,
            "dsp_difference": one.used.dsps - twin.used.dsps,
            "throughput_ratio_same_clock": self.work[one.candidate.shape][ALL].ratio(COUNTED),
            "throughput_ratio": mine["effective_gops"] / its["effective_gops"],
            "worse": [name for name in mine if (mine[name] > its[name] if name in COSTS else mine[name] < its[name])],
            "throughput_per_lut_ratio": (mine["effective_gops"] / one.used.luts)
            / (its["effective_gops"] / twin.used.luts),
        }

    def _side(self, routing: Routing) -> dict[str, float]:
        """One array's figures in a comparison."""
        assert routing.used is not None
        return {
            "luts_per_op": routing.used.luts / routing.candidate.operations,
            "fmax_median_mhz": routing.median_mhz,
            "ebrs": routing.used.ebrs,
            "dsps": routing.used.dsps,
            "effective_ops_per_cycle": self.work[routing.candidate.shape][ALL].operations_per_cycle(
                routing.candidate.array
            ),
            "effective_gops": self.effective_gops(routing),
        }


def work_figures(work: Work) -> dict[str, Any]:
    """Figures of some layers, as JSON stores them."""

    def by_array(array: Array) -> dict[str, Any]:
        return {
            "cycles_per_token": {stage: work.cycles_per_token(array, stage) for stage in STAGES},
            "operations_per_cycle": work.operations_per_cycle(array),
            "waits": work.waits(array),
        }

    return {
        "layers": work.layers,
        "tokens": work.tokens,
        "lane_utilisation": work.utilisation,
        "lane_utilisation_all_phases": work.utilisation_all,
        "ratio_same_clock": {stage: work.ratio(stage) for stage in STAGES},
        **{array: by_array(array) for array in ARRAYS},
    }


def _dominates(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    return one != other and all(mine <= its for mine, its in zip(one, other, strict=True))


def median_clock(figures: Path, spec: Spec, array: Array, device: str) -> float | None:
    """The median clock of an array on a part in MHz, from a benchmark's JSON file; none where it has none.

    Raises:
        InputError: the file is damaged.
    """
    if not figures.is_file():
        return None
    try:
        arrays = json.loads(figures.read_text(encoding="utf-8"))["arrays"]
        found = [
            float(one["fmax_median_mhz"])
            for one in arrays
            if (one["array"], one["device"], one["spec"]) == (array, device, spec.model_dump())
            and "fmax_median_mhz" in one
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{figures}: cannot be read ({error}), expected what `make bench` writes") from None
    return found[0] if found else None
