"""Coverage points of programs: values of packet fields and of results."""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np

from spikequant.cosim.coverage.points import PROGRAM, Point
from spikequant.golden.layer.spec import BIAS_BITS, THETA_BITS, Spec
from spikequant.rtl.driver.packet_model import Completed
from spikequant.rtl.driver.packets import Words, parse_result
from spikequant.rtl.shapes import Half

MANY = 4
"""Number of runs of a membrane that stands for any larger number."""


def _code(code: int, bits: int) -> str:
    """Name a code: its value if the read-out is narrow or it is 0 or an end, else its sign and magnitude's width."""
    top = 2 ** (bits - 1) - 1
    if bits <= 5 or abs(code) in {0, top}:
        return f"{code:+}"
    return f"{'-' if code < 0 else '+'}{abs(code).bit_length()} bits"


def _expected(spec: Spec) -> Iterator[str]:
    normal, shifts = spec.max_activation_code, range(spec.max_salient_shift + 1)
    yield from (f"level {level:+}" for level in range(-normal, normal + 1))
    yield from (f"zero point {zero}" for zero in range(normal + 1))
    if spec.salient_bits:
        most = spec.max_salient_code
        yield from (f"salient level {level:+}" for level in range(-most, most + 1))
        yield from (f"smallest salient code {-offset}" for offset in range(most + 1))
        yield from (f"salient shift {shift}, apart" for shift in shifts)
        yield from (f"salient shift {shift}, in place" for shift in shifts if 1 < 1 << shift <= spec.max_population)
    yield from (f"{runs} runs of a membrane" for runs in range(1, MANY + 1))
    for half in Half.__members__:
        yield from (f"{half.lower()} weights, shift {shift}" for shift in shifts)
    yield from (f"slot {slot}" for slot in range(spec.membrane_slots))
    yield from (f"buffer {buffer}" for buffer in range(2))
    yield from ("in brief", "in full")
    yield from ("saturated", "exact", "exact, though a flag was allowed")
    yield from (f"theta of {bits} bits" for bits in range(1, THETA_BITS + 1))
    yield from ("bias least", "bias negative", "bias none", "bias positive", "bias most")
    top = 2 ** (spec.output_bits - 1) - 1
    codes = range(-top, top + 1) if spec.output_bits <= 16 else ()
    yield from sorted({f"read-out {_code(code, spec.output_bits)}" for code in codes})


def _bias(value: int) -> str:
    end = 2 ** (BIAS_BITS - 1)
    return {-end: "least", 0: "none", end - 1: "most"}.get(value, "negative" if value < 0 else "positive")


def _reached(spec: Spec, wanted: Completed, packet: Words) -> Iterator[str]:
    got = parse_result(spec, packet)
    for run in wanted.runs:
        score, header = run.score, run.header
        zero, offset, shift = (int(getattr(score.header, name)) for name in ("zero", "offset", "shift"))
        used = slice(len(run.weights))
        level, salient = score.level[used], score.salient[used]
        yield from (f"level {value:+}" for value in np.unique(level[~salient]).tolist())
        yield f"zero point {zero}"
        if salient.any():
            yield from (f"salient level {value >> shift:+}" for value in np.unique(level[salient]).tolist())
            yield f"smallest salient code {offset}"
            if level[salient].any():
                yield f"salient shift {shift}, {'in place' if score.header.merged else 'apart'}"
        yield f"{Half(header.half).name.lower()} weights, shift {int(header.shift)}"
        yield f"buffer {int(header.buffer)}"
    yield f"{min(len(wanted.runs), MANY)} runs of a membrane"
    yield f"slot {wanted.slot}"
    yield "in brief" if wanted.brief else "in full"
    if got.saturated.any():
        yield "saturated"
    exact = ~got.saturated
    if exact.any():
        yield "exact"
    if (exact & wanted.saturated).any():
        yield "exact, though a flag was allowed"
    yield from (f"theta of {int(theta).bit_length()} bits" for theta in wanted.theta[exact])
    yield from (f"bias {_bias(int(bias))}" for bias in wanted.bias[exact])
    yield from (f"read-out {_code(int(code), spec.output_bits)}" for code in wanted.code[exact])


def program_points(spec: Spec, expected: Sequence[Completed], received: Sequence[Words]) -> Counter[Point]:
    """Count the results that reach each point; points that none reaches have a count of 0.

    Args:
        spec: the accelerator.
        expected: results by the packets' meaning.
        received: RESULT packets, which must be correct.
    """
    found = Counter({Point(PROGRAM, name): 0 for name in _expected(spec)})
    for wanted, packet in zip(expected, received, strict=True):
        for name in set(_reached(spec, wanted, packet)):
            found[Point(PROGRAM, name)] += 1
    return found
