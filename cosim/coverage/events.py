"""Events inside the accelerator that tests should cause, and a Verilog module that counts them.

Verilator counts each ``cover property`` as it does lines and bits, without any Python.
"""

from amaranth.hdl import Elaboratable, Fragment

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.accelerator import RUNS_GRANTED, RUNS_WAITING
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.shapes import Behind, beat_layout, bits_for_index, idle_place
from spikequant.rtl.writer import PacketWriter

WATCH = "watch"
"""Name of the counting module and of its file."""

TOP = "burst.accelerator"

BEHIND = {name: int(member.value) for name, member in Behind.__members__.items()}

OF_SALIENT = ("DOUBLE", "SHIFTED")
"""Continuations that follow beats of salient inputs only."""

RESET = "reset"
"""End of the names of events that occur during a reset; all others occur without one."""


def _states(component: Elaboratable) -> dict[str, int]:
    """Return the numbers of a component's states, by name."""
    encoding: dict[str, int] = Fragment.get(component, None).generated["fsm"].encoding
    return encoding


def _beats(spec: Spec) -> dict[str, str]:
    """Return events of beats: by number of spikes, by what follows, and by lanes that share a pair."""
    layout, sequencer = beat_layout(spec), f"{TOP}.sequencer"
    taken = f"{sequencer}.take"

    def part(start: int, width: int) -> str:
        return f"{sequencer}.beat[{start} +: {width}]"

    def field(name: str) -> str:
        return part(layout[name].offset, layout[name].width)

    place_bits = bits_for_index(spec.memory_rows)
    places = [part(layout["spikes"].offset + lane * (place_bits + 1), place_bits) for lane in range(spec.lanes)]
    fires = [f"({place} != {idle_place(spec)})" for place in places]
    spikes = " + ".join(f"5'd0 + {one}" for one in fires)
    found = {f"{count} of {spec.lanes} spikes": f"({spikes}) == {count}" for count in range(spec.lanes + 1)}
    found |= {
        f"followed by {name.lower()}": f"{field('behind')} == {value}"
        for name, value in BEHIND.items()
        if spec.salient_bits or name not in OF_SALIENT
    }
    # the first tick of a phase coincides with its last beat, unless salient levels precede it in the same phase
    most = max(1, min(spec.ramp, spec.max_level) - (not spec.salient_bits))
    found |= {f"{ticks} ticks": f"{field('ticks')} == {ticks}" for ticks in range(most + 1)}
    # a beat that leaves out a spike of its level although a lane is free
    more = f"{field('ticks')} == 0 && {field('behind')} == {BEHIND['NEXT']} && !{field('double')}"
    found["not full, although the level continues"] = f"({spikes}) < {spec.lanes} && {more}" if spec.pairs > 1 else ""
    for pair in range(spec.pairs if spec.pair_lanes == 2 else 0):
        first, second = 2 * pair, 2 * pair + 1
        both = f"{fires[first]} && {fires[second]}"
        for name, relation in (("one lane", "=="), ("two lanes", "!=")):
            found[f"pair {pair} with two inputs of {name}"] = (
                f"{both} && ({places[first]} & 1) {relation} ({places[second]} & 1)"
            )
    return {f"beat: {name}": f"{taken} && {condition}" for name, condition in found.items() if condition}


def _streams(spec: Spec) -> dict[str, str]:
    """Return events of each state of reader and writer: transfer, pause on either side, and reset."""
    reader, writer = f"{TOP}.reader", f"{TOP}.writer"
    word, offer = f"{reader}.judged", f"{TOP}.writer.outgoing"
    found: dict[str, str] = {}
    for name, number in _states(PacketReader(spec)).items():
        now = f"{reader}.fsm_state == {number}"
        if name.endswith("waits"):
            found[f"reader, {name}: waits"] = f"{now} && {word}.o__valid"
        else:
            found[f"reader, {name}: transfer"] = f"{now} && {word}.o__valid && {word}.o__ready"
            found[f"reader, {name}: no word"] = f"{now} && !{word}.o__valid"
        found[f"reader, {name}: {RESET}"] = now
    found["reader, codes: the encoder is not ready"] = f"{reader}.codes__valid && !{reader}.codes__ready"
    for name, number in _states(PacketWriter(spec)).items():
        now = f"{writer}.fsm_state == {number}"
        found[f"writer, {name}: transfer"] = f"{now} && {writer}.free"
        found[f"writer, {name}: not ready"] = f"{now} && !{writer}.free"
        found[f"writer, {name}: {RESET}"] = now
    found["writer, body: no result yet"] = f"{writer}.words__0__ready && !{writer}.words__0__valid"
    found["receiver pauses"] = f"{offer}.o__valid && !{offer}.o__ready"
    return found


def _waits(spec: Spec) -> dict[str, str]:
    """Return events of components that wait for each other, of reported faults, and of full queues."""
    sequencer, encoder = f"{TOP}.sequencer", f"{TOP}.encoder"
    still = f"{sequencer}.running && !{sequencer}.take && {sequencer}.step == 0"
    found = {
        "a phase ends": f"{sequencer}.ended",
        "a phase waits for the neurons": f"{still} && {sequencer}.ready && {sequencer}.neurons_busy",
        "a run waits for the next beat": f"{still} && !{sequencer}.ready && !{sequencer}.neurons_busy",
        "beats are prefetched as far as possible": f"{sequencer}.fetching && !{sequencer}.room",
        "a run that has been fetched waits for the previous one": f"{sequencer}.waiting && {sequencer}.running",
        "a run waits for its score": f"{TOP}.runs.o__valid && !{TOP}.turns.ready",
        "a score waits for earlier runs": f"{encoder}.filled && {encoder}.held",
        "a score waits for the one that is being read": f"{encoder}.following_waits && !{encoder}.walk_idle",
        "the queue of runs is full": f"{TOP}.runs.level == {RUNS_WAITING - RUNS_GRANTED}",
        "the queue of RESULT packets is full": f"!{TOP}.packets.i__ready",
        "fault: a packet is dropped or cut": f"{TOP}.reader.malformed",
        "fault: codes are refused": f"{encoder}.refused",
        "fault: a score does not fit": f"{encoder}.overflows",
        "fault: a spike is beyond the memory": f"{sequencer}.strayed",
        "fault: a run exceeds its buffer": f"{sequencer}.cut",
    }
    if not spec.salient_bits:
        return found
    return found | {
        f"the charge is doubled {times}": f"{encoder}.walk_double && {condition}"
        for times, condition in (("once", f"{encoder}.doublings == 1"), ("repeatedly", f"{encoder}.doublings > 1"))
    }


def events(spec: Spec) -> dict[str, str]:
    """Return a Verilog condition for each event's name; the event occurs in each cycle in which it is true."""
    return _beats(spec) | _streams(spec) | _waits(spec)


def watch_verilog(spec: Spec) -> str:
    """Write the counting module for ``burst.v``; a property is named after the event's index in ``events``."""
    lines = "\n".join(
        f"  event_{number}: cover property (@(posedge burst.clk) {'' if name.endswith(RESET) else '!'}burst.rst "
        f"&& {condition});  // {name}"
        for number, (name, condition) in enumerate(events(spec).items())
    )
    return f"module {WATCH};\n{lines}\nendmodule\nbind burst {WATCH} {WATCH}_of_accelerator ();\n"
