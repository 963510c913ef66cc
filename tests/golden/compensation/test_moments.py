import torch

from spikequant.golden.compensation.moments import MomentWatcher


def test_the_corrected_weights_are_least_squares() -> None:
    """Where the quantized input is a linear image of the float one, the corrected weights undo that, gap included."""
    generator = torch.Generator().manual_seed(1)
    weight = torch.randn(5, 8, generator=generator)
    mix = torch.eye(8) + 0.2 * torch.randn(8, 8, generator=generator)
    lack = torch.randn(5, 8, generator=generator)
    watcher = MomentWatcher(8, 5)
    windows = [torch.randn(30, 8, generator=generator) + 2 for _ in range(4)]
    for expected in windows:
        found = expected @ mix.T + 1
        watcher.add(found, expected, expected @ lack.T + 3)
    moments = watcher.moments()
    target = moments.target(weight, 1e-7)
    torch.testing.assert_close(target @ mix, weight + lack, rtol=1e-2, atol=1e-2)
    bias = moments.bias(weight, torch.ones(5), target)
    for expected in windows:
        output = (expected @ mix.T + 1) @ target.T + bias
        wanted = expected @ weight.T + 1 + expected @ lack.T + 3
        torch.testing.assert_close(output, wanted, rtol=1e-2, atol=5e-2)


def test_a_ridge_pulls_towards_the_float_weights() -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(4, 6, generator=generator)
    watcher = MomentWatcher(6)
    expected = torch.randn(50, 6, generator=generator)
    watcher.add(0.5 * expected, expected)
    distances = [float((watcher.moments().target(weight, ridge) - weight).norm()) for ridge in (1e-6, 0.3, 3.0, 1e6)]
    assert distances == sorted(distances, reverse=True)
    assert distances[0] > 0.9 * float(weight.norm())
    assert distances[-1] < 1e-3


def test_the_bias_takes_the_mean_error_whatever_the_weights() -> None:
    generator = torch.Generator().manual_seed(3)
    weight, rounded = torch.randn(2, 4, 6, generator=generator)
    watcher = MomentWatcher(6)
    found, expected = torch.randn(2, 50, 6, generator=generator) + 1
    watcher.add(found, expected)
    bias = watcher.moments().bias(weight, None, rounded)
    torch.testing.assert_close((found @ rounded.T + bias).mean(0), (expected @ weight.T).mean(0), rtol=1e-4, atol=1e-4)
