"""The memory alone on a device: known devices, and the clocks of the report."""

from pathlib import Path

import pytest

from spikequant.benchmarks.memory_synthesis import ClockFigures, clock_figures, synthesize_memory
from spikequant.fpga.boards import DEVICES, Resources
from spikequant.fpga.build.core import DEVICE_OPTIONS
from spikequant.fpga.build.report import ClockTiming, RouteReport
from spikequant.fpga.sdram.timing import SdramTiming
from spikequant.golden.support.errors import InputError


@pytest.mark.parametrize("device", ["LFE5U-12F", *sorted(set(DEVICES) - set(DEVICE_OPTIONS))])
def test_a_device_that_it_cannot_build_for_is_refused(device: str, timing: SdramTiming, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        synthesize_memory(timing, device=device, frequency_hz=75e6, seeds=1, jobs=1, cache=tmp_path)
    assert str(caught.value) == f"device: {device!r}, expected one of LFE5U-25F, LFE5U-45F, LFE5U-85F"


def test_clocks_of_one_frequency_are_both_reported() -> None:
    clocks = (ClockTiming("memory_clock", 120.0, 110.0), ClockTiming("clock", 120.0, 130.0))
    report = RouteReport(used=Resources(luts=1, ffs=1, ebrs=0, dsps=0), clocks=clocks, slowest={})
    assert clock_figures(report) == [ClockFigures(wanted_mhz=120.0, fmax_mhz=fmax) for fmax in (110.0, 130.0)]
