"""Codes by multiplication, against the golden formula."""

from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from spikequant.benchmarks.twin.arithmetic import dequantize, make_scale
from spikequant.benchmarks.twin.readout import Dequantizer
from spikequant.golden.layer.spec import Spec


@pytest.mark.parametrize(("membrane_bits", "output_bits", "fraction_bits"), [(32, 8, 12), (39, 16, 0), (8, 2, 24)])
def test_codes(play: Callable[..., Any], membrane_bits: int, output_bits: int, fraction_bits: int) -> None:
    spec = Spec(membrane_bits=membrane_bits, output_bits=output_bits, theta_fraction_bits=fraction_bits)
    random = Random(output_bits)
    limit = 2 ** (spec.biased_bits - 1)
    cases = [(membrane, theta) for membrane in (-limit, -1, 0, 1, limit - 1) for theta in (1, 2, 2**31, 2**32 - 1)]
    for _ in range(200):
        theta = random.randrange(1, 2 ** random.randint(1, 32))
        code = random.uniform(-1.2, 1.2) * spec.max_output_code
        cases.append((max(-limit, min(limit - 1, round(code * theta / 2**fraction_bits))), theta))
    membranes = np.array([membrane for membrane, _ in cases], np.int64)
    scales = make_scale(np.array([theta for _, theta in cases], np.uint32), spec)
    frames = [
        {"i.valid": 1, "i.value": {"membrane": int(membrane), "theta": int(scale), "brief": index % 3 == 0}}
        for index, (membrane, scale) in enumerate(zip(membranes, scales, strict=True))
    ]
    latency = Dequantizer.latency(spec)
    sampled = play(Dequantizer(spec), frames + [{}] * latency, ["o.valid", "o.value"])
    assert [valid for valid, _ in sampled] == [0] * latency + [1] * len(cases)
    results = [result for _, result in sampled[latency:]]
    assert [result.membrane for result in results] == membranes.tolist()
    assert [result.brief for result in results] == [index % 3 == 0 for index in range(len(cases))]
    expected = [int(dequantize(membranes[i : i + 1, None], scales[i : i + 1], spec)[0, 0]) for i in range(len(cases))]
    assert [result.code for result in results] == expected
