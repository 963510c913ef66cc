"""Coverage points as Verilator writes them, events, rare programs, exclusions, and proofs that are kept."""

from collections import Counter
from pathlib import Path
from random import Random

import pytest

from spikequant.cosim.coverage.events import WATCH, events, watch_verilog
from spikequant.cosim.coverage.measure import DESIGNS, EXCLUSIONS, ruled_out
from spikequant.cosim.coverage.points import (
    COVERAGE_OPTIONS,
    EVENT,
    LINE,
    PROGRAM,
    TOGGLE,
    UNNAMED,
    Coverage,
    Exclusion,
    Point,
    coverage,
    coverage_argument,
    definitions,
    read_exclusions,
    read_points,
    spelled,
)
from spikequant.cosim.coverage.programs import program_points
from spikequant.cosim.coverage.rare import overflowing_sums, single_runs, totals_program, waiting_results
from spikequant.cosim.random.programs import random_program
from spikequant.cosim.random.verify import expected_results, first_error
from spikequant.cosim.simulator.build import accelerator_sources
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.spec import Spec
from spikequant.golden.support.errors import InputError
from spikequant.rtl.result_queue import packets_waiting

SPEC = DESIGNS["plain"]


@pytest.mark.long
def test_a_program_reaches_what_it_does(tmp_path: Path) -> None:
    packets = random_program(SPEC, Random(1), steps=30)
    expected = expected_results(SPEC, packets)
    points = tmp_path / "points.dat"
    sources = {**accelerator_sources(SPEC, instances=True), f"{WATCH}.v": watch_verilog(SPEC)}
    with SimulatedDevice(
        SPEC, sources=sources, options=COVERAGE_OPTIONS, arguments=[coverage_argument(points)], cache=tmp_path
    ) as device:
        received = device.play(packets, len(expected)).packets
    assert first_error(SPEC, expected, received) == ""
    found = read_points(points, sources["spikequant.v"], list(events(SPEC)))
    named = {kind: {p.name: n for p, n in found.items() if p.kind == kind} for kind in (LINE, TOGGLE, EVENT)}
    assert set(named[EVENT]) == set(events(SPEC))
    # every word goes through the reader, and each RESULT packet has one header
    assert named[EVENT]["writer, header: transfer"] >= len(expected)
    taken = sum(
        named[EVENT][f"reader, {state}: transfer"] for state in ("header", "weights", "neurons", "sort", "codes", "run")
    )
    assert taken == sum(map(len, packets))
    # streams without pauses, and no invalid packet
    assert named[EVENT]["receiver pauses"] == 0
    assert named[EVENT]["fault: a packet is dropped or cut"] == 0
    assert named[TOGGLE]["top: m_axis_tvalid rises"] > 0
    assert named[TOGGLE]["top: m_axis_tready rises"] == 1
    assert len(named[LINE]) > 1000


def test_programs_reach_what_their_results_have() -> None:
    none = program_points(SPEC, [], [])
    assert not any(none.values())
    assert {Point(PROGRAM, name) for name in ("level -7", "level +7", "in brief", "read-out +2047")} <= set(none)
    assert Point(PROGRAM, "salient level +1") not in none


def test_points_are_read_as_verilator_writes_them(tmp_path: Path) -> None:
    top = "burst.accelerator"

    def line(count: int, t: str, o: str, *, at: str = "4 1", f: str = "spikequant.v", h: str = top) -> str:
        place = dict(zip("ln", at.split(), strict=True))
        values = {"f": f, **place, "t": t, "o": o, "h": h}
        return "C '" + "".join(f"\x01{key}\x02{value}" for key, value in values.items()) + f"' {count}"

    path = tmp_path / "points.dat"
    bit = "i___05Fpayload__02edata[2]:0->1"
    lines = [
        "# SystemC::Coverage-3",
        line(3, "toggle", bit, h=f"{top}.reader"),
        line(4, "toggle", bit, h=f"{top}.reader"),
        line(0, "toggle", "__0241:1->0"),
        line(5, "branch", "else", at="7 3"),
        line(0, "branch", "if", at="6 3"),
        line(0, "toggle", "__024auto__024verilog_backend__02ecc:1->0"),
        line(9, "toggle", "nothing[-1]:0->1", at="9 1"),
        line(6, "line", "block", f="burst.v", h="burst"),
        line(1, "user", "event_1", f="watch.v", h="burst.watch_of_accelerator.event_1"),
    ]
    path.write_text("\n".join(lines))
    verilog = "\n" * 5 + "if (\\$auto$verilog_backend.cc:2355:dump_module$4 ) begin end\nelse\n\nwire [-1:0] nothing;\n"
    assert read_points(path, verilog, ["first", "second"]) == Counter(
        {
            Point(TOGGLE, "reader: i__payload.data[2] rises"): 7,
            Point("toggle, unnamed", "top: $1 falls"): 0,
            Point(LINE, "top: line 7, else at 3"): 5,
            Point(EVENT, "second"): 1,
        }
    )


def test_exclusions_take_away_only_theirs(tmp_path: Path) -> None:
    path = tmp_path / "exclusions.toml"
    path.write_text('[[exclude]]\nkind = "event"\nname = "b.*"\nreason = "because"\n')
    counts = {
        Point(EVENT, "a"): 1,
        Point(EVENT, "b1"): 0,
        Point(EVENT, "b2"): 2,
        Point(EVENT, "ab"): 0,
        Point(LINE, "b"): 0,
    }
    found = coverage(counts, read_exclusions(path))
    assert found[EVENT] == Coverage(points=4, excluded=2, impossible=0, reached=1, missing=["ab"])
    assert found[EVENT].share == 0.5
    assert found[LINE] == Coverage(points=1, excluded=0, impossible=0, reached=0, missing=["b"])
    path.write_text('[[exclude]]\nkind = "event"\nname = "b"\nreason = ""\n')
    with pytest.raises(InputError, match="entry 0 of exclude"):
        read_exclusions(path)


def test_wires_without_names_are_known_by_what_they_are() -> None:
    verilog = """
module \\spikequant.writer (clk);
  assign \\$1  = total + 1'h1;
  assign \\$2 = ~ \\$1 ;
    \\$3 [4:0] = \\$1 [4:0];
    \\$3 [4:0] = 5'h00;
endmodule
module spikequant(clk);
  assign \\$1  = other;
endmodule
"""
    defined = definitions(verilog, "spikequant")
    assert defined == {
        "writer: $1": "total + 1'h1",
        "writer: $2": "~ (total + 1'h1) ",
        "writer: $3": "(total + 1'h1) [4:0], 5'h00",
        "top: $1": "other",
    }
    assert spelled("writer: $1[3] rises", defined) == "writer: $1[3] rises = total + 1'h1"
    assert spelled("top: $1 falls", defined) == "top: $1 falls = other"
    assert spelled("top: $2 falls", defined) == "top: $2 falls"
    rule = Exclusion(kind="toggle, unnamed", name=r"writer: \$\d+\[3\] rises = .*\btotal\b.*", reason="because")
    counts = {Point(UNNAMED, "writer: $1[3] rises"): 0, Point(UNNAMED, "writer: $1[2] rises"): 0}
    found = coverage(counts, [rule], defined=defined)[UNNAMED]
    assert (found.excluded, found.missing) == (1, ["writer: $1[2] rises"])


@pytest.mark.parametrize("spec", DESIGNS.values(), ids=list(DESIGNS))
def test_rare_programs_are_what_they_say(spec: Spec) -> None:
    assert len(expected_results(spec, totals_program(spec))) == 1
    assert len(expected_results(spec, single_runs(spec))) == len(range(0, spec.depth, spec.lanes))
    assert len(expected_results(spec, waiting_results(spec))) > packets_waiting(spec)
    # two packets for each score, after the constants and two fills of weights
    assert len(overflowing_sums(spec)) == 3 + 2 * 2 * 2 * (spec.charge_bits - spec.population_bits + 1)


def test_what_is_proved_or_not_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def prove(_verilog: str, names: list[str]) -> set[str]:
        asked.append(names)
        return {name for name in names if name.startswith("never")}

    monkeypatch.setattr("spikequant.cosim.coverage.measure.unreachable", prove)

    def found(*names: str, verilog: str = "a design") -> set[str]:
        missing = coverage({Point(TOGGLE, name): 0 for name in names}, [])
        return {point.name for point in ruled_out(tmp_path, verilog, missing)}

    assert found("never 1", "open 1") == {"never 1"}
    assert found("never 1", "never 2", "open 1") == {"never 1", "never 2"}
    assert found("never 2", "open 1") == {"never 2"}
    assert found("never 2", verilog="another design") == {"never 2"}
    assert asked == [["never 1", "open 1"], ["never 2"], ["never 2"]]


def test_every_exclusion_has_a_reason() -> None:
    assert all(len(one.reason) > 20 for one in read_exclusions(EXCLUSIONS))


@pytest.mark.parametrize("spec", DESIGNS.values(), ids=list(DESIGNS))
def test_events_are_one_property_each(spec: Spec) -> None:
    text = watch_verilog(spec)
    names = list(events(spec))
    assert text.count("cover property") == len(names) == len(set(names))
    assert f"{spec.lanes} of {spec.lanes} spikes" in " ".join(names)
