import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from golden.encode import encode
from golden.quantize import Site


def encode_token(values: np.ndarray, site: Site, max_shift: int) -> tuple[list[int], list[bool], int, int, bool]:
    """One token, value by value, from the definition; numbers in float32 as torch has them."""
    ratio = [np.float32(x) / np.float32(site.scale) for x in values]
    salient = [bool(abs(np.float32(x) - np.float32(site.median)) > np.float32(site.threshold)) for x in values]
    chosen = [r for r, is_salient in zip(ratio, salient, strict=True) if is_salient]
    low, high = min([np.float32(0), *chosen]), max([np.float32(0), *chosen])
    shift = 0
    while high - low > 31 * 2.0**shift:
        shift += 1
    clipped, shift = shift > max_shift, min(shift, max_shift)
    offset = max(-31, round(float(low) / 2**shift))
    level = []
    for r, is_salient in zip(ratio, salient, strict=True):
        if is_salient:
            level.append(min(max(round(float(r) / 2**shift), offset), offset + 31) * 2**shift)
        else:
            level.append(min(max(round(float(r)) + site.zero, 0), 15) - site.zero)
    return level, salient, shift, offset, clipped


numbers = st.floats(-3e4, 3e4, width=32) | st.floats(-10, 10, width=32)
sites = st.builds(
    Site,
    median=st.floats(-2, 2, width=32),
    threshold=st.floats(0, 20, width=32),
    scale=st.floats(0.125, 4, width=32),
    zero=st.integers(0, 15),
)


@given(st.lists(st.lists(numbers, min_size=5, max_size=5), min_size=1, max_size=4), sites, st.integers(0, 12))
@example([[62.0, 31.0, 31.5, -0.5, 0.5]], Site(0.0, 1.0, 1.0, 0), 11)  # exact powers and ties
@example([[-31.0, 0.0, 0.0, 0.0, 0.0]], Site(0.0, 1.0, 1.0, 0), 11)
@example([[-15.5, 15.5, 0.25, 0.5, -2.5]], Site(0.0, 1.0, 1.0, 0), 11)
def test_encode_is_the_definition(tokens: list[list[float]], site: Site, max_shift: int) -> None:
    levels = encode(torch.tensor(tokens), site, max_shift=max_shift)
    for token, values in enumerate(tokens):
        level, salient, shift, offset, clipped = encode_token(np.array(values), site, max_shift)
        assert levels.level[token].tolist() == level
        assert levels.salient[token].tolist() == salient
        assert int(levels.shift[token]) == shift
        assert int(levels.offset[token]) == offset
        assert bool(levels.clipped[token]) == clipped


def test_the_window_reaches_the_largest_value() -> None:
    values = torch.tensor([[0.3, -1.0, 2.0, 9000.0]])
    levels = encode(values, Site(0.0, 3.0, 0.5, 7))
    assert levels.shift.tolist() == [10]
    assert levels.level[0, 3] * 0.5 == torch.tensor(9216.0)
    assert levels.salient.tolist() == [[False, False, False, True]]


def test_a_limited_window_is_marked() -> None:
    levels = encode(torch.tensor([[100.0, 0.0], [31.0, 0.0]]), Site(0.0, 3.0, 1.0, 0), max_shift=1)
    assert levels.clipped.tolist() == [True, False]
    assert levels.level.tolist() == [[62.0, 0.0], [31.0, 0.0]]


def test_without_salient_codes_everything_is_normal() -> None:
    levels = encode(torch.tensor([[100.0, -100.0, 2.0]]), Site(0.0, 3.0, 1.0, 5), salient_bits=0)
    assert levels.level.tolist() == [[10.0, -5.0, 2.0]]
    assert not levels.salient.any()


def test_the_input_is_left_alone_and_may_have_any_batch_shape() -> None:
    values = torch.randn(2, 3, 8, generator=torch.Generator().manual_seed(5)) * 9
    before = values.clone()
    batch = encode(values, Site(0.0, 12.0, 1.0, 7))
    assert values.equal(before)
    assert batch.shift.shape == (2, 3)
    alone = encode(values[1, 2], Site(0.0, 12.0, 1.0, 7))
    assert alone.level.equal(batch.level[1, 2])
