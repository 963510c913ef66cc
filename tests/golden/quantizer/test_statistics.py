"""What a watcher gathers, against the same computed at once."""

from dataclasses import fields

import torch

from spikequant.golden.quantizer.statistics import SAMPLE_VALUES, SiteStatistics, SiteWatcher


def windows_of_inputs() -> list[torch.Tensor]:
    """Three windows of other lengths and sizes, 5 channels; one channel is always negative, one always 0."""
    generator = torch.Generator().manual_seed(8)
    found = [torch.randn(1, n, 5, generator=generator) * 10**n for n in (1, 2, 3)]
    for window in found:
        window[..., 1] = -window[..., 1].abs() - 1
        window[..., 4] = 0
    return found


def watched(values: list[torch.Tensor], *, second_moment: bool = True) -> SiteStatistics:
    watcher = SiteWatcher(windows=len(values), second_moment=second_moment)
    for window in values:
        watcher.add(window)
    return watcher.statistics()


def test_a_watcher_gathers_what_the_inputs_are() -> None:
    values = windows_of_inputs()
    found, rows = watched(values), torch.cat([window[0] for window in values])
    assert found.tokens == 6
    assert found.sample.equal(rows)
    # every grid includes zero, and so do the ranges
    assert found.low.equal(rows.amin(0).clamp(max=0))
    assert found.high.equal(rows.amax(0).clamp(min=0))
    assert found.high[1] == 0
    assert found.peak.equal(rows.abs().amax(0))
    torch.testing.assert_close(found.power, rows.double().square().mean(0).float())
    assert found.second_moment is not None
    torch.testing.assert_close(found.second_moment, (rows.T @ rows) / 6)
    torch.testing.assert_close(found.second_moment.diagonal(), found.power)
    assert found.sample.equal(rows)


def test_the_second_moment_is_gathered_only_where_asked_for() -> None:
    assert watched(windows_of_inputs(), second_moment=False).second_moment is None


def test_the_sample_is_whole_tokens_strided_over_every_window() -> None:
    watcher = SiteWatcher(windows=SAMPLE_VALUES // 8)
    for start in (0, 100):
        watcher.add((start + torch.arange(40.0)).view(10, 4))
    found = watcher.statistics()
    # 40 values are 5 times a window's share of 8, so that every fifth token stays
    assert found.sample.tolist() == [[0, 1, 2, 3], [20, 21, 22, 23], [100, 101, 102, 103], [120, 121, 122, 123]]
    assert found.tokens == 20
    assert found.high.tolist() == [136, 137, 138, 139]


def test_the_sample_does_not_follow_the_tensor_it_was_taken_from() -> None:
    values = torch.ones(2, 3)
    watcher = SiteWatcher(windows=1)
    watcher.add(values)
    values.mul_(9)
    assert watcher.statistics().sample.eq(1).all()


def test_divided_statistics_are_those_of_divided_inputs() -> None:
    values = windows_of_inputs()
    factors = torch.tensor([0.01, 2.0, 300.0, 1.0, 7.0])
    divided, direct = watched(values).divided(factors), watched([window / factors for window in values])
    for item in fields(SiteStatistics):
        torch.testing.assert_close(getattr(divided, item.name), getattr(direct, item.name), msg=item.name)
    assert watched(values, second_moment=False).divided(factors).second_moment is None
