"""Data of ``spikequant estimate``, and its errors on routed accelerators."""

from collections.abc import Mapping, Sequence

from spikequant.benchmarks.packing import Packed
from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.fpga.estimate.estimate import estimate, estimate_ebrs
from spikequant.fpga.estimate.expectation import site_cycles
from spikequant.fpga.estimate.measurement import Measured, Site, Taken, hardware_digest
from spikequant.fpga.estimate.prices import Priced, fit_prices, left_out_errors
from spikequant.fpga.estimate.surroundings import Extra, OnBoard, fit_surroundings, left_out_board_errors
from spikequant.golden.layer.spec import Spec


def make_measured(
    designs: Mapping[str, tuple[Spec, Packed]],
    *,
    boards: Sequence[OnBoard],
    cycles: Mapping[str, float],
    sites: tuple[Site, ...],
    model: str,
    tools: Mapping[str, str],
) -> Measured:
    """Prices fitted to accelerators, alone and on boards, and the largest errors over them.

    Args:
        designs: specs and what they take, by name; two or more.
        boards: some of the designs on boards, at least one without a memory.
        cycles: of a token in all layers of the model, as they were counted, for some of the designs.
        sites: of the model.
        model: what to call it.
        tools: versions by name.
    """
    priced = {
        kind: {name: Priced(spec, getattr(packed, kind)) for name, (spec, packed) in designs.items()}
        for kind in ("luts", "ffs")
    }
    extras = {kind: board_extras(kind, boards, designs) for kind in ("luts", "ffs", "ebrs")}
    around = {kind: fit_surroundings(found) for kind, found in extras.items()}
    errors = {
        kind: [*left_out_errors(list(found.values())), *left_out_board_errors(extras[kind], found)]
        for kind, found in priced.items()
    }
    errors["ebrs"] = [estimate_ebrs(spec) / packed.used.ebrs - 1 for spec, packed in designs.values()]
    errors["ebrs"] += [
        (estimate_ebrs(designs[one.design][0]) + around["ebrs"].total(memory=one.memory)) / one.total - 1
        for one in extras["ebrs"]
    ]
    errors["cycles"] = [
        sum(site_cycles(designs[name][0], site) for site in sites) / counted - 1 for name, counted in cycles.items()
    ]
    return Measured(
        designs={
            name: Taken(spec=spec, luts=packed.luts, ffs=packed.ffs, ebrs=packed.used.ebrs)
            for name, (spec, packed) in designs.items()
        },
        luts=fit_prices(list(priced["luts"].values())),
        ffs=fit_prices(list(priced["ffs"].values())),
        boards=tuple(boards),
        around=around,
        errors={kind: max(map(abs, found)) for kind, found in errors.items()},
        largest=max(spec.neurons * spec.lanes for spec, _ in designs.values()),
        tools=tools,
        hardware=hardware_digest(),
        model=model,
        sites=sites,
    )


def board_extras(kind: str, boards: Sequence[OnBoard], designs: Mapping[str, tuple[Spec, Packed]]) -> list[Extra]:
    """What each build on a board takes more than its accelerator alone, in ``luts``, ``ffs`` or ``ebrs``."""
    return [
        Extra(
            design=one.design,
            memory=one.memory is not None,
            alone=getattr(designs[one.design][1].used, kind),
            total=getattr(one, kind),
        )
        for one in boards
    ]


def estimate_errors(benchmark: Benchmark, measured: Measured) -> dict[str, dict[str, float]]:
    """Relative error of the estimate of each routed accelerator, by shape; positive where the estimate is too large.

    Cycles are compared on the benchmark's own traces, so they differ by the tokens too.
    """
    errors = {}
    for routing in benchmark.routed():
        spec, shape = routing.candidate.spec, routing.candidate.shape
        if routing.used is None or routing.candidate.array != "spiking" or shape in errors:
            continue
        found = estimate(spec, measured)
        errors[shape] = {
            "luts": found.luts / routing.used.luts - 1,
            "ffs": found.ffs / routing.used.ffs - 1,
            "ebrs": found.ebrs / routing.used.ebrs - 1,
            "cycles": found.cycles / benchmark.work[shape][ALL].cycles_per_token("spiking") - 1,
        }
    return errors


def error_lines(errors: Mapping[str, Mapping[str, float]]) -> list[str]:
    """One line for each shape with the errors of ``estimate_errors``."""
    return [
        f"{shape}: spikequant estimate is off by {', '.join(f'{name} {error:+.1%}' for name, error in one.items())}"
        for shape, one in errors.items()
    ]
