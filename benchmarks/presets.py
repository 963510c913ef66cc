"""Choice of the best shape for each device, from the figures of a benchmark."""

from dataclasses import dataclass

from spikequant.benchmarks.results import Benchmark
from spikequant.fpga.boards import DEVICES

NEARLY = 0.03
"""Shapes within this share of the best throughput count as equal: seeds differ by as much."""


@dataclass(frozen=True)
class Choice:
    """A device's shape.

    Attributes:
        device: which.
        shape: the name of the shape.
        reason: in one line, with its figures.
    """

    device: str
    shape: str
    reason: str


def choose_preset(benchmark: Benchmark, device: str) -> Choice | None:
    """Choose, among the fastest accelerators on a device, the one with the fewest lookup tables; None without any.

    The fastest have the most useful weight-ops a second on the traced model at the median clock.
    """
    found = [(routing, used, benchmark.effective_gops(routing)) for routing, used in benchmark.accelerators(device)]
    if not found:
        return None
    most = max(gops for _, _, gops in found)
    fastest = [one for one in found if one[2] >= (1 - NEARLY) * most]
    chosen, used, gops = min(fastest, key=lambda one: (one[1].luts, one[1].ebrs))
    slower = [(other, others_gops) for other, _, others_gops in found if others_gops < (1 - NEARLY) * most]
    equals = [other.candidate.shape for other, _, _ in fastest if other is not chosen]
    capacity = DEVICES[device]
    reason = (
        f"{gops:.1f} Gop/s at {chosen.median_mhz:.0f} MHz with {used.luts} of {capacity.luts} LUT "
        f"and {used.ebrs} of {capacity.ebrs} EBR"
    )
    if equals:
        reason += f"; {', '.join(equals)}: no more than {NEARLY:.0%} faster, with more LUT"
    if slower:
        following, followings_gops = max(slower, key=lambda one: one[1])
        reason += f"; next is {following.candidate.shape} with {followings_gops:.1f} Gop/s"
    return Choice(device=device, shape=chosen.candidate.shape, reason=reason)


def choose_presets(benchmark: Benchmark) -> list[Choice]:
    """The choice for each of the benchmark's devices that has one."""
    devices = dict.fromkeys(routing.device for routing in benchmark.routings)
    return [choice for device in devices if (choice := choose_preset(benchmark, device))]
