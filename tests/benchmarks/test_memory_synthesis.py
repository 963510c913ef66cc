"""What the memory alone takes of a device: which devices, and the clocks of the report."""

import pytest

from spikequant.benchmarks.memory_synthesis import clock_figures, main
from spikequant.fpga.boards import DEVICES, Resources
from spikequant.fpga.build.core import DEVICE_OPTIONS
from spikequant.fpga.build.report import ClockTiming, RouteReport
from spikequant.golden.support.errors import InputError


@pytest.mark.parametrize("device", ["LFE5U-12F", *sorted(set(DEVICES) - set(DEVICE_OPTIONS))])
def test_a_device_that_it_cannot_build_for_is_refused(device: str) -> None:
    with pytest.raises(InputError) as caught:
        main(device=device)
    assert str(caught.value) == f"device: {device!r}, expected one of LFE5U-25F, LFE5U-45F, LFE5U-85F"


def test_clocks_of_one_frequency_are_both_told() -> None:
    clocks = (ClockTiming("memory_clock", 120.0, 110.0), ClockTiming("clock", 120.0, 130.0))
    report = RouteReport(used=Resources(luts=1, ffs=1, ebrs=0, dsps=0), clocks=clocks, slowest={})
    assert clock_figures(report) == [{"wanted_mhz": 120.0, "fmax_mhz": fmax} for fmax in (110.0, 130.0)]
