"""The description of packets, read as a program in another language reads it: from its JSON alone."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.rtl.driver.packet_description import describe_packets
from spikequant.rtl.driver.packet_model import PacketModel, UnspecifiedError
from spikequant.rtl.driver.packets import (
    TokenTile,
    Words,
    codes_packet,
    neurons_packet,
    run_packet,
    weights_packet,
)
from spikequant.rtl.driver.program import layer_program
from spikequant.rtl.packet_sizes import result_words
from spikequant.rtl.shapes import Half

SPECS = {
    "tiny": PRESETS["tiny"],
    "base": PRESETS["base"],
    "ramp": Spec(neurons=16, lanes=1, depth=24, weight_bits=2, salient_bits=0, output_bits=4, readout="ramp"),
}


def described(spec: Spec) -> dict[str, Any]:
    return json.loads(describe_packets(spec).model_dump_json())


def read_field(bits: int, field: dict[str, Any]) -> list[int]:
    """The elements of a field, each within its limits."""
    values = []
    for element in range(field["count"]):
        value = bits >> field["offset"] + element * field["stride"] & (1 << field["width"]) - 1
        if field["signed"] and value >> field["width"] - 1:
            value -= 1 << field["width"]
        assert field["minimum"] <= value <= field["maximum"], field
        assert value % field["multiple_of"] == 0, field
        values.append(value)
    return values


def write_field(values: list[int], field: dict[str, Any]) -> int:
    mask = (1 << field["width"]) - 1
    return sum((value & mask) << field["offset"] + n * field["stride"] for n, value in enumerate(values))


def read_packet(description: dict[str, Any], words: list[int]) -> tuple[str, dict[str, list[dict[str, list[int]]]]]:
    """Name of a packet, and the fields of each repetition of each of its parts; every bit is in some field."""
    operation = words[0] & (1 << description["packets"][0]["parts"][0]["fields"][0]["width"]) - 1
    (packet,) = [packet for packet in description["packets"] if packet["operation"] == operation]
    place = 0
    found = {}
    for part in packet["parts"]:
        repeats = []
        for _ in range(part["repeats_maximum"]):
            if place == len(words):
                break
            taken = words[place : place + part["words"]]
            assert len(taken) == part["words"]
            bits = sum(word << description["word_bits"] * n for n, word in enumerate(taken))
            values = {field["name"]: read_field(bits, field) for field in part["fields"]}
            assert sum(write_field(values[field["name"]], field) for field in part["fields"]) == bits
            repeats.append(values)
            place += part["words"]
        assert len(repeats) >= part["repeats_minimum"]
        found[part["name"]] = repeats
    assert place == len(words)
    return packet["name"], found


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_the_packets_of_a_layer_are_read_by_the_description_alone(spec: Spec) -> None:
    description = described(spec)
    layer = random_vectors(spec, outputs=spec.neurons, inputs=20, tokens=8, salient_fraction=0.2, seed=1)
    found = [read_packet(description, packet.tolist()) for packet in layer_program(spec, layer).packets]
    by_name: dict[str, list[dict[str, list[dict[str, list[int]]]]]] = {}
    for name, parts in found:
        by_name.setdefault(name, []).append(parts)
    (weights,), (neurons,) = by_name["WEIGHTS"], by_name["NEURONS"]
    assert [row["weight"] for row in weights["input"]] == layer.w_code.T.tolist()
    for field, expected in (("theta", layer.theta), ("bias", layer.bias), ("zero", layer.w_zero)):
        assert [neuron[field][0] for neuron in neurons["neuron"]] == expected.tolist()
    assert len(by_name["CODES"]) == len(by_name["RUN"]) == layer.tokens
    for token, parts in enumerate(by_name["CODES"]):
        header = {name: values[0] for name, values in parts["header"][0].items()}
        value = np.array([word["value"] for word in parts["codes"]]).reshape(-1)[: layer.inputs]
        salient = np.array([word["salient"] for word in parts["codes"]]).reshape(-1)[: layer.inputs]
        level = np.where(salient, (value + header["offset"]) << header["shift"], value - header["zero"])
        assert level.tolist() == layer.level[token].tolist()
    assert [parts["header"][0]["half"][0] for parts in by_name["RUN"]] == [
        description["enumerations"]["Half"]["WHOLE"]
    ] * layer.tokens


@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
@pytest.mark.parametrize("brief", [False, True])
def test_the_parts_of_a_result_are_as_long_as_it(spec: Spec, brief: bool) -> None:
    (result,) = [packet for packet in described(spec)["packets"] if packet["stream"] == "m_axis"]
    parts = [part for part in result["parts"] if part["brief"] in (None, brief)]
    assert all(part["repeats_minimum"] == part["repeats_maximum"] for part in parts)
    assert sum(part["words"] * part["repeats_maximum"] for part in parts) == result_words(spec, brief=brief)


def test_no_fields_overlap_and_headers_have_no_gap() -> None:
    for spec in SPECS.values():
        for packet in described(spec)["packets"]:
            for part in packet["parts"]:
                used: set[int] = set()
                for field in part["fields"]:
                    for element in range(field["count"]):
                        first = field["offset"] + element * field["stride"]
                        bits = set(range(first, first + field["width"]))
                        assert not used & bits
                        used |= bits
                assert max(used) < 32 * part["words"]
                if part["name"] == "header":
                    assert len(used) == 32 * part["words"]


TINY = PRESETS["tiny"]


def silent(shift: int = 0) -> TokenTile:
    zeros: NDArray[np.uint8] = np.zeros(4, np.uint8)
    return TokenTile(zeros, zeros.astype(np.bool_), 0, shift, 0, merged=True)


def constants(first: int) -> Words:
    return neurons_packet(
        theta=np.ones(1, np.uint32), bias=np.zeros(1, np.int32), zero=np.zeros(1, np.uint8), first_neuron=first
    )


def rows(first: int) -> Words:
    return weights_packet(TINY, first_input=first, codes=np.zeros((TINY.lanes, TINY.neurons), np.uint8))


def run(*, address: int = 0, shift: int = 0, first_input: int = 0, slot: int = 0) -> Words:
    return run_packet(
        buffer=0,
        address=address,
        shift=shift,
        first_input=first_input,
        slot=slot,
        first=True,
        last=False,
        half=Half.WHOLE,
    )


MAKERS: dict[tuple[str, str], Callable[[int], list[Words]]] = {
    ("WEIGHTS", "input"): lambda value: [rows(value)],
    ("NEURONS", "neuron"): lambda value: [constants(value)],
    ("CODES", "shift"): lambda value: [codes_packet(silent(value), buffer=0)],
    ("CODES", "address"): lambda value: [codes_packet(silent(), buffer=0, address=value)],
    ("RUN", "shift"): lambda value: [codes_packet(silent(), buffer=0), run(shift=value)],
    ("RUN", "slot"): lambda value: [codes_packet(silent(), buffer=0), run(slot=value)],
    ("RUN", "input"): lambda value: [codes_packet(silent(), buffer=0), run(first_input=value)],
}


@pytest.mark.parametrize(("name", "field"), MAKERS)
def test_limits_are_those_of_the_reference_model(name: str, field: str) -> None:
    (packet,) = [packet for packet in described(TINY)["packets"] if packet["name"] == name]
    (limits,) = [one for one in packet["parts"][0]["fields"] if one["name"] == field]

    def play(value: int) -> None:
        model = PacketModel(TINY)
        for words in MAKERS[name, field](value):
            assert model.take(words) is None

    for value in range(limits["minimum"], limits["maximum"] + 1, limits["multiple_of"]):
        play(value)
    for value in (
        {limits["minimum"] + 1, limits["maximum"] + 1} if limits["multiple_of"] > 1 else {limits["maximum"] + 1}
    ):
        with pytest.raises(UnspecifiedError):
            play(value)
