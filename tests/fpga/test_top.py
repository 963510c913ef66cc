from collections.abc import Callable
from random import Random
from typing import Any

import numpy as np
import pytest

from fpga.framing import END, encode_frame
from fpga.top import SerialAccelerator
from golden.integer import run_layer
from golden.samples import random_vectors
from golden.spec import PRESETS
from rtl.accelerator import Accelerator
from rtl.packets import parse_result
from rtl.program import gather, layer_program

DIVISOR = 8


def test_packets_go_through_and_come_back(
    simulate: Callable[..., None], serial_host: Any, echo_class: Any, random_packets: Any
) -> None:
    dut = SerialAccelerator(echo_class(), divisor=DIVISOR)
    host = serial_host(dut)
    sent = random_packets(Random(5), packets=6, words=6)

    async def session(ctx: Any) -> None:
        ctx.set(dut.locked, 1)
        await host.wait_for(ctx, 1)
        for packet in sent:
            await host.send(ctx, encode_frame(packet))
        await host.wait_for(ctx, 1 + len(sent))

    simulate(dut, session, background=[host.listen])
    assert host.frames == [[], *([(word + 1) % 2**32 for word in packet] for packet in sent)]


def test_nothing_happens_before_the_clock_is_good(
    simulate: Callable[..., None], serial_host: Any, echo_class: Any
) -> None:
    dut = SerialAccelerator(echo_class(), divisor=DIVISOR)
    host = serial_host(dut)

    async def session(ctx: Any) -> None:
        await host.send(ctx, encode_frame([1, 2]))
        await host.idle(ctx, 1000)
        assert host.bytes == []
        ctx.set(dut.locked, 1)
        await host.wait_for(ctx, 1)
        await host.idle(ctx, 1000)
        assert host.frames == [[]]
        ctx.set(dut.locked, 0)
        await host.send(ctx, encode_frame([1, 2]))
        await host.idle(ctx, 1000)
        assert host.frames == [[]]

    simulate(dut, session, background=[host.listen])


BAD_CHECK = encode_frame([1, 2, 3])[:-2] + b"\x55" + bytes([END])


@pytest.mark.parametrize("bad", [BAD_CHECK, encode_frame([1, 2, 3])[:7] + bytes([END]), encode_frame([])])
def test_a_frame_that_is_no_packet_starts_the_board_afresh(
    simulate: Callable[..., None], serial_host: Any, echo_class: Any, bad: bytes
) -> None:
    dut = SerialAccelerator(echo_class(), divisor=DIVISOR)
    host = serial_host(dut)

    async def session(ctx: Any) -> None:
        ctx.set(dut.locked, 1)
        await host.wait_for(ctx, 1)
        await host.send(ctx, bad)
        await host.wait_for(ctx, 2)
        assert ctx.get(dut.damaged) == (bad != encode_frame([]))
        await host.send(ctx, encode_frame([10, 20]))
        await host.wait_for(ctx, 3)
        await host.send(ctx, encode_frame([]))
        await host.wait_for(ctx, 4)
        assert ctx.get(dut.damaged) == 0

    simulate(dut, session, background=[host.listen])
    # the echo of the words before the damage comes as a frame that is cut, or not at all
    assert host.packets == [[], [], [11, 21], []]


def test_a_restart_in_the_middle_of_a_reply_damages_it_and_is_announced(
    simulate: Callable[..., None], serial_host: Any, echo_class: Any
) -> None:
    dut = SerialAccelerator(echo_class(), divisor=DIVISOR)
    host = serial_host(dut)

    async def session(ctx: Any) -> None:
        ctx.set(dut.locked, 1)
        await host.wait_for(ctx, 1)
        await host.send(ctx, encode_frame(range(20)))
        await host.send(ctx, encode_frame([]))
        await host.wait_for(ctx, 2)
        await host.send(ctx, encode_frame([1]))
        await host.wait_for(ctx, 3)

    simulate(dut, session, background=[host.listen])
    assert host.frames == [[], None, [], [2]]


def test_a_line_that_outruns_the_accelerator_is_never_silent(
    simulate: Callable[..., None], serial_host: Any, echo_class: Any
) -> None:
    dut = SerialAccelerator(echo_class(stuck=True), divisor=DIVISOR, buffer_words=16)
    host = serial_host(dut)

    async def session(ctx: Any) -> None:
        ctx.set(dut.locked, 1)
        await host.wait_for(ctx, 1)
        await host.send(ctx, encode_frame(range(40)))
        await host.wait_for(ctx, 2)
        assert ctx.get(dut.damaged) == 1

    simulate(dut, session, background=[host.listen])
    assert host.frames == [[], []]


def test_a_layer_runs_through_the_pins_of_the_tiny_accelerator(simulate: Callable[..., None], serial_host: Any) -> None:
    spec = PRESETS["tiny"]
    vectors = random_vectors(spec, tokens=2, inputs=6, outputs=spec.neurons, seed=3)
    program = layer_program(spec, vectors)
    dut = SerialAccelerator(Accelerator(spec), divisor=DIVISOR)
    host = serial_host(dut)

    async def session(ctx: Any) -> None:
        ctx.set(dut.locked, 1)
        await host.wait_for(ctx, 1)
        for packet in program.packets:
            await host.send(ctx, encode_frame(int(word) for word in packet))
        await host.wait_for(ctx, 1 + len(program.places))

    simulate(dut, session, background=[host.listen])
    results = [parse_result(spec, np.array(words, np.uint32)) for words in host.frames[1:]]
    output, expected = gather(vectors, program.places, results), run_layer(vectors, spec)
    np.testing.assert_array_equal(output.membrane, expected.membrane)
    np.testing.assert_array_equal(output.code, expected.code)
    np.testing.assert_array_equal(output.saturated, expected.saturated)
