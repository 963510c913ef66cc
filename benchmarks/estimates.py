"""Data of ``spikequant estimate``, and its errors on routed accelerators."""

from collections.abc import Mapping

from spikequant.benchmarks.packing import Packed
from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.fpga.estimate.estimate import estimate, estimate_ebrs
from spikequant.fpga.estimate.expectation import site_cycles
from spikequant.fpga.estimate.measurement import Measured, Site, Taken, hardware_digest
from spikequant.fpga.estimate.prices import Priced, fit_prices, left_out_errors
from spikequant.golden.layer.spec import Spec


def make_measured(
    designs: Mapping[str, tuple[Spec, Packed]],
    *,
    cycles: Mapping[str, float],
    sites: tuple[Site, ...],
    model: str,
    tools: Mapping[str, str],
) -> Measured:
    """Prices fitted to accelerators, and the largest errors over them.

    Args:
        designs: specs and what they take, by the name of their shape; two or more.
        cycles: of a token in all layers of the model, as they were counted for each shape.
        sites: of the model.
        model: what to call it.
        tools: versions by name.
    """
    luts, ffs = ([Priced(spec, getattr(packed, kind)) for spec, packed in designs.values()] for kind in ("luts", "ffs"))
    estimated = {shape: sum(site_cycles(spec, site) for site in sites) for shape, (spec, _) in designs.items()}
    return Measured(
        designs={
            shape: Taken(luts=packed.luts, ffs=packed.ffs, ebrs=packed.used.ebrs)
            for shape, (_, packed) in designs.items()
        },
        luts=fit_prices(luts),
        ffs=fit_prices(ffs),
        errors={
            "luts": max(map(abs, left_out_errors(luts))),
            "ffs": max(map(abs, left_out_errors(ffs))),
            "ebrs": max(abs(estimate_ebrs(spec) / packed.used.ebrs - 1) for spec, packed in designs.values()),
            "cycles": max(abs(found / cycles[shape] - 1) for shape, found in estimated.items()),
        },
        largest=max(spec.neurons * spec.lanes for spec, _ in designs.values()),
        tools=tools,
        hardware=hardware_digest(),
        model=model,
        sites=sites,
    )


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
