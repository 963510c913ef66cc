"""The figures on the terminal."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import median
from typing import Any

from rich.table import Table

from spikequant.benchmarks.netlist import KINDS, PORTS
from spikequant.benchmarks.packing import Packed
from spikequant.benchmarks.presets import choose_presets
from spikequant.benchmarks.rates import Batch
from spikequant.benchmarks.results import ALL, Benchmark
from spikequant.benchmarks.routing import Routing
from spikequant.benchmarks.shapes import ARRAYS, Array
from spikequant.benchmarks.toggles import CAVEAT
from spikequant.benchmarks.work import COUNTED, STAGES, Work
from spikequant.fpga.estimate.estimate import estimate
from spikequant.fpga.estimate.measurement import Measured
from spikequant.fpga.estimate.prices import Priced, left_out_errors
from spikequant.golden.layer.spec import WORD_BITS, Spec

NAMES = {"spiking": "ours", "mac": "MAC twin"}

COMPARED = {
    "luts_per_op": "LUT/op",
    "fmax_median_mhz": "median Fmax, MHz",
    "ebrs": "EBR",
    "dsps": "DSP",
    "effective_ops_per_cycle": "useful ops/cycle",
    "effective_gops": "Gop/s",
}
"""Labels of the figures in a comparison."""


def tables(benchmark: Benchmark) -> list[Table]:
    """Tables of resources, throughput, comparison, and chosen shapes."""
    found = [_cost(benchmark), _throughput(benchmark)]
    if benchmark.routed():
        found += [_comparison(benchmark), _slowest(benchmark), _presets(benchmark)]
    if benchmark.toggles:
        found.append(_toggles(benchmark))
    return found


def _cost(benchmark: Benchmark) -> Table:
    table = Table(title="One array alone, speed grade 6; figures per op are per weight-op and cycle")
    for name in ("array", "shape", "device", "LUT", "FF", "EBR", "DSP", "LUT/op", "FF/op", "EBR/op", "DSP/op"):
        table.add_column(name, justify="left" if name in {"array", "shape", "device"} else "right")
    table.add_column("Fmax min / median / max, MHz")
    table.add_column("Gop/s", justify="right")
    pareto = {id(one) for device in {one.device for one in benchmark.routings} for one in benchmark.pareto(device)}
    for routing in benchmark.routings:
        candidate, used = routing.candidate, routing.used
        title = (NAMES[candidate.array], candidate.shape + (" *" if id(routing) in pareto else ""), routing.device)
        if used is None:
            reason = f"skipped: {routing.skipped}" if routing.skipped else "not built yet"
            table.add_row(*title, *["-"] * 8, reason, "-")
            continue
        counts = (used.luts, used.ffs, used.ebrs, used.dsps)
        table.add_row(
            *title,
            *(str(count) for count in counts),
            *(f"{count / candidate.operations:.{digits}f}" for count, digits in zip(counts, (1, 1, 3, 3), strict=True)),
            _spread(routing),
            f"{benchmark.effective_gops(routing):.1f}",
        )
    table.caption = f"* no other shape on the device is as good in LUT, EBR and Gop/s; {benchmark.model}"
    return table


def _spread(routing: Routing) -> str:
    low, high = min(routing.fmax_mhz), max(routing.fmax_mhz)
    seeds = len(routing.fmax_mhz)
    of = f"{seeds} seeds of {seeds + len(routing.missing)}" if routing.missing else f"{seeds} seeds"
    return f"{low:.1f} / {routing.median_mhz:.1f} / {high:.1f}, {of}"


def _throughput(benchmark: Benchmark) -> Table:
    table = Table(title=f"On real traces of {benchmark.model}: cycles, and the twin's cycles over ours at one clock")
    for name in ("shape", "layers", "lanes used", "in all phases", "ours, cycles/token", "twin, cycles/token"):
        table.add_column(name, justify="right")
    for stage in STAGES:
        table.add_column(f"x {stage}", justify="right")
    table.add_column("what waits for what")
    for shape, layers in benchmark.work.items():
        for name, work in layers.items():
            table.add_row(
                shape,
                name,
                f"{work.utilisation:.3f}",
                f"{work.utilisation_all:.3f}",
                *(f"{work.cycles_per_token(array):.0f}" for array in ARRAYS),
                *(f"{work.ratio(stage):.2f}" for stage in STAGES),
                _waits(work) if name == ALL else "",
            )
        table.add_section()
    table.caption = f"cycles/token and Gop/s count everything up to {COUNTED!r}"
    return table


def _waits(work: Work) -> str:
    def listed(waits: Mapping[str, float]) -> str:
        slow = [f"{stage} +{share:.0%}" for stage, share in waits.items() if share >= 0.01]
        return ", ".join(slow) or "nothing"

    return "; ".join(f"{NAMES[array]}: {listed(work.waits(array))}" for array in ARRAYS)


def _comparison(benchmark: Benchmark) -> Table:
    table = Table(title="Ours against the twin, from the same run: ours : twin (ratio)")
    for name in ("shape", "device", *COMPARED.values()):
        table.add_column(name, justify="right")
    table.add_column("ours is worse in")
    for pair in benchmark.comparison():
        mine, its = pair["spiking"], pair["mac"]
        ratios = {
            "luts_per_op": f"{pair['lut_ratio']:.2f} x fewer",
            "fmax_median_mhz": f"{pair['fmax_ratio']:.2f} x",
            "ebrs": f"{pair['ebr_difference']:+d}",
            "dsps": f"{pair['dsp_difference']:+d}",
            "effective_ops_per_cycle": f"{pair['throughput_ratio_same_clock']:.2f} x",
            "effective_gops": f"{pair['throughput_ratio']:.2f} x",
        }
        table.add_row(
            pair["shape"],
            pair["device"],
            *(f"{mine[name]:.4g} : {its[name]:.4g} ({ratio})" for name, ratio in ratios.items()),
            ", ".join(COMPARED[name] for name in pair["worse"]) or "nothing",
        )
    return table


def _slowest(benchmark: Benchmark) -> Table:
    table = Table(title="Critical path of each seed, with median delays")
    for name in ("array", "shape", "device", "ns", "in wires", "tables"):
        table.add_column(name, justify="left" if name in {"array", "shape", "device"} else "right")
    table.add_column("from register to register, in seeds")
    for routing in benchmark.routed():
        paths = routing.slowest
        if not paths:
            continue
        ways = Counter(f"{path.start} to {path.end}" for path in paths)
        table.add_row(
            NAMES[routing.candidate.array],
            routing.candidate.shape,
            routing.device,
            f"{median(path.delay_ns for path in paths):.2f}",
            f"{median(path.wires_ns for path in paths):.2f}",
            f"{median(path.tables for path in paths):.0f}",
            ", ".join(f"{way} {count}" for way, count in ways.most_common()),
        )
    return table


def _presets(benchmark: Benchmark) -> Table:
    table = Table("device", "shape", "why", title="The shape for each device, by these figures")
    for choice in choose_presets(benchmark):
        table.add_row(choice.device, choice.shape, choice.reason)
    return table


def _toggles(benchmark: Benchmark) -> Table:
    table = Table(title="Switched bits for each useful weight-op, on real tokens, by what drives the bit")
    kinds = list(dict.fromkeys([*KINDS.values(), PORTS]))
    for name in ("shape", "array", "cycles", "nets", "bits/op", *kinds, "twin / ours"):
        table.add_column(name, justify="left" if name == "array" else "right")
    for one, twin in benchmark.toggles:
        for toggles in (one, twin):
            table.add_row(
                toggles.shape,
                NAMES[toggles.array],
                str(toggles.cycles),
                str(toggles.nets),
                f"{toggles.per_operation:.2f}",
                *(f"{toggles.kinds.get(kind, 0) / toggles.operations:.2f}" for kind in kinds),
                f"{twin.per_operation / one.per_operation:.2f} x" if toggles is one else "",
            )
    table.caption = CAVEAT
    return table


def price_table(designs: Mapping[str, tuple[Spec, Packed]], cycles: Mapping[str, float], measured: Measured) -> Table:
    """Resources of packed accelerators, and errors of their estimates with prices fitted to all others.

    Args:
        designs: specs and what they take, by name.
        cycles: of a token, as they were counted, for some of them.
        measured: what was fitted.
    """
    table = Table(title="Packed accelerators, and errors of their estimates by prices fitted to all others")
    for name in ("shape", "LUT", "error", "FF", "error", "EBR", "error", "cycles/token", "error"):
        table.add_column(name, justify="right")
    luts, ffs = (
        left_out_errors([Priced(spec, getattr(packed, kind)) for spec, packed in designs.values()])
        for kind in ("luts", "ffs")
    )
    for (shape, (spec, packed)), lut_error, ff_error in zip(designs.items(), luts, ffs, strict=True):
        found, used = estimate(spec, measured), packed.used
        table.add_row(
            shape,
            *(str(used.luts), f"{lut_error:+.1%}", str(used.ffs), f"{ff_error:+.1%}"),
            *(str(used.ebrs), f"{found.ebrs / used.ebrs - 1:+.1%}"),
            *((f"{cycles[shape]:.0f}", f"{found.cycles / cycles[shape] - 1:+.1%}") if shape in cycles else ("-", "-")),
        )
    return table


def rate_table(
    batches: Sequence[Batch], clocks_mhz: Mapping[Array, float], *, bandwidth: float, shape: str
) -> tuple[Table, dict[str, Any]]:
    """Tokens per second of both arrays, as a table and as figures for JSON.

    Args:
        batches: of different sizes.
        clocks_mhz: of the arrays.
        bandwidth: of the memory, in bytes a second.
        shape: what to call it.
    """
    ours, its = (clocks_mhz[array] for array in ARRAYS)
    table = Table(title=f"Tokens a second of {shape} at {ours:.1f} MHz, and its twin at {its:.1f} MHz")
    for name in ("batch", "weights", "MB a token", *(NAMES[array] for array in ARRAYS), "ours / twin"):
        table.add_column(name, justify="left" if name == "weights" else "right")
    rows: list[dict[str, Any]] = []
    for batch in batches:
        memory = f"from memory, {bandwidth / 1e6:.0f} MB/s"
        ways: dict[str, tuple[float, Callable[[Array, float], float]]] = {
            "on chip": (0.0, batch.rate),
            memory: (batch.words, partial(batch.streamed_rate, bandwidth=bandwidth)),
            f"{memory}, silent rows left out": (
                batch.words_used,
                partial(batch.streamed_rate, bandwidth=bandwidth, skip_silent=True),
            ),
        }
        for way, (words, rate) in ways.items():
            rates = {array: rate(array, clocks_mhz[array] * 1e6) for array in ARRAYS}
            megabytes = words * WORD_BITS / 8 / batch.tokens / 1e6
            cells = (f"{megabytes:.1f}", *(f"{rates[array]:.2f}" for array in ARRAYS))
            table.add_row(str(batch.tokens), way, *cells, f"{rates['spiking'] / rates['mac']:.3f}")
            named = {NAMES[array]: rate for array, rate in rates.items()}
            rows.append({"batch": batch.tokens, "weights": way, "megabytes_per_token": megabytes} | named)
        table.add_section()
    table.caption = "linear layers of the decoder alone, a layer after the other"
    return table, {"rates": rows}
