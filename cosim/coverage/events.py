"""Events inside the accelerator that a test should have seen, as a Verilog module that counts them.

Verilator counts each ``cover property`` along with lines and bits, so watching costs no Python.
"""

from amaranth.hdl import Elaboratable, Fragment

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.accelerator import RUNS_WAITING
from spikequant.rtl.reader import PacketReader
from spikequant.rtl.shapes import Behind, beat_layout, bits_for_index, idle_place
from spikequant.rtl.writer import PacketWriter

WATCH = "watch"
"""The module that counts, and the name of its file."""

TOP = "burst.accelerator"

BEHIND = {name: int(member.value) for name, member in Behind.__members__.items()}

OF_SALIENT = ("DOUBLE", "SHIFTED")
"""What comes behind a beat of salient inputs alone."""

RESET = "reset"
"""The end of an event's name that happens when a reset comes; all others happen without one."""


def _states(component: Elaboratable) -> dict[str, int]:
    """Numbers of a component's states, by name."""
    encoding: dict[str, int] = Fragment.get(component, None).generated["fsm"].encoding
    return encoding


def _beats(spec: Spec) -> dict[str, str]:
    """Beats by how many spikes they have, by what follows them, and by which lanes meet."""
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
        f"{name.lower()} behind it": f"{field('behind')} == {value}"
        for name, value in BEHIND.items()
        if spec.salient_bits or name not in OF_SALIENT
    }
    # the first tick of a phase is one with its last beat, unless salient levels in the same phase come before it
    most = max(1, min(spec.ramp, spec.max_level) - (not spec.salient_bits))
    found |= {f"{ticks} ticks": f"{field('ticks')} == {ticks}" for ticks in range(most + 1)}
    # spikes of one level that do not fit a beat, and leave another one in it
    more = f"{field('ticks')} == 0 && {field('behind')} == {BEHIND['NEXT']} && !{field('double')}"
    found["not full, though the level goes on"] = f"({spikes}) < {spec.lanes} && {more}" if spec.pairs > 1 else ""
    for pair in range(spec.pairs if spec.pair_lanes == 2 else 0):
        first, second = 2 * pair, 2 * pair + 1
        both = f"{fires[first]} && {fires[second]}"
        for name, relation in (("one lane", "=="), ("two lanes", "!=")):
            found[f"pair {pair} with two inputs of {name}"] = (
                f"{both} && ({places[first]} & 1) {relation} ({places[second]} & 1)"
            )
    return {f"beat: {name}": f"{taken} && {condition}" for name, condition in found.items() if condition}


def _streams(spec: Spec) -> dict[str, str]:
    """Each state of reader and writer, with its stream going, pausing on either side, and reset."""
    reader, writer = f"{TOP}.reader", f"{TOP}.writer"
    word, offer = f"{reader}.judged", f"{TOP}.outgoing"
    found: dict[str, str] = {}
    for name, number in _states(PacketReader(spec)).items():
        now = f"{reader}.fsm_state == {number}"
        if name.endswith("waits"):
            found[f"reader, {name}: waits"] = f"{now} && {word}.o__valid"
        else:
            found[f"reader, {name}: goes"] = f"{now} && {word}.o__valid && {word}.o__ready"
            found[f"reader, {name}: no word"] = f"{now} && !{word}.o__valid"
        found[f"reader, {name}: {RESET}"] = now
    found["reader, codes: the encoder has no place"] = f"{reader}.codes__valid && !{reader}.codes__ready"
    for name, number in _states(PacketWriter(spec)).items():
        now = f"{writer}.fsm_state == {number}"
        found[f"writer, {name}: goes"] = f"{now} && {writer}.free"
        found[f"writer, {name}: no place"] = f"{now} && !{writer}.free"
        found[f"writer, {name}: {RESET}"] = now
    found["writer, body: no result yet"] = f"{writer}.words__0__ready && !{writer}.words__0__valid"
    found["receiver pauses"] = f"{offer}.o__valid && !{offer}.o__ready"
    return found


def _waits(spec: Spec) -> dict[str, str]:
    """Each place inside at which one part waits for another one, each fault that is told, and full queues."""
    sequencer, encoder = f"{TOP}.sequencer", f"{TOP}.encoder"
    still = f"{sequencer}.running && !{sequencer}.take && {sequencer}.step == 0"
    found = {
        "a phase ends": f"{sequencer}.ended",
        "a phase waits for the neurons": f"{still} && {sequencer}.ready && {sequencer}.neurons_busy",
        "a run waits for the next beat": f"{still} && !{sequencer}.ready && !{sequencer}.neurons_busy",
        "beats are read no further ahead": f"{sequencer}.fetching && !{sequencer}.room",
        "a run that is read waits for the one before": f"{sequencer}.waiting && {sequencer}.running",
        "a run waits for its score": f"{TOP}.runs.o__valid && !{TOP}.turns.ready",
        "a score waits for the runs before it": f"{encoder}.filled && {encoder}.held",
        "a score waits for the one that is walked": f"{encoder}.following_waits && !{encoder}.walk_idle",
        "room for as many runs as there can be": f"{TOP}.runs.level == {RUNS_WAITING}",
        "no room for another RESULT packet": f"!{TOP}.packets.i__ready",
        "fault: a packet is dropped or cut": f"{TOP}.reader.malformed",
        "fault: codes are refused": f"{encoder}.refused",
        "fault: a score does not fit": f"{encoder}.overflows",
        "fault: a spike beyond the memory": f"{sequencer}.strayed",
        "fault: a run goes beyond its buffer": f"{sequencer}.cut",
    }
    if not spec.salient_bits:
        return found
    return found | {
        f"charge is doubled: {spare}": f"{encoder}.walk_double && {condition}"
        for spare, condition in (("once", f"{encoder}.doublings == 1"), ("more", f"{encoder}.doublings > 1"))
    }


def events(spec: Spec) -> dict[str, str]:
    """A Verilog condition for each event's name; it happens in each cycle in which that is true."""
    return _beats(spec) | _streams(spec) | _waits(spec)


def watch_verilog(spec: Spec) -> str:
    """The module that counts, for ``burst.v``; an event's property is named after its place in ``events``."""
    lines = "\n".join(
        f"  event_{number}: cover property (@(posedge burst.clk) {'' if name.endswith(RESET) else '!'}burst.rst "
        f"&& {condition});  // {name}"
        for number, (name, condition) in enumerate(events(spec).items())
    )
    return f"module {WATCH};\n{lines}\nendmodule\nbind burst {WATCH} {WATCH}_of_accelerator ();\n"
