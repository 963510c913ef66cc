from pathlib import Path

from amaranth.lib import data

from spikequant.fpga.link.codec import encode_frame
from spikequant.fpga.link.protocol import (
    BUFFER_WORDS,
    CONTROL_WORDS,
    HELLO_WORDS,
    MAX_SIZE,
    MIN_BAUD,
    POSITION_BITS,
    VERSION,
    Control,
    Hello,
    Kind,
    identify,
)
from spikequant.fpga.link.session import MOST_LOSSES, Patience
from spikequant.fpga.sdram.timing import CHIPS, DEFAULT_CHIP, find_chip
from spikequant.golden.layer.spec import PRESETS
from spikequant.rtl.driver.layouts import pack, unpack


def test_the_control_words_are_those_of_the_document() -> None:
    fields = {"last": 1, "again": 1, "sequence": 0x123, "acknowledge": 0x456, "limit": 0x789, "size": 0xA}
    words = pack(Control, kind=Kind.DATA, session=0xBCDE, **fields)
    assert [f"{word:08x}" for word in words] == ["45612332", "bcdea789"]
    assert unpack(Control, words) == {"kind": Kind.DATA, "reserved": 0, "session": 0xBCDE, **fields}
    assert CONTROL_WORDS == 2


def test_a_hello_begins_with_magic_and_version_in_any_version() -> None:
    words = pack(Hello, magic=0x5153, version=9, kilocycles=7)
    assert (len(words), words[0], words[-1]) == (HELLO_WORDS, 0x00095153, 7)


def test_every_spec_and_design_has_an_identity_of_its_own() -> None:
    tiny = PRESETS["tiny"]
    specs = [tiny, PRESETS["base"], tiny.model_copy(update={"theta_fraction_bits": 11})]
    identities = {identify(design, spec) for design in ("Accelerator", "MacTwin") for spec in specs}
    assert len(identities) == 6
    assert identify("Accelerator", tiny) == identify("Accelerator", tiny.model_copy())
    assert all(identity.digest < 2**64 for identity in identities)
    assert identify("A" * 40, tiny).name_bits < 2**128


def test_a_memory_makes_another_identity() -> None:
    tiny = PRESETS["tiny"]
    identities = [identify("Accelerator", tiny, chip=chip) for chip in (None, *CHIPS.values())]
    assert len({identity.digest for identity in identities}) == 3
    assert [identity.name for identity in identities] == ["Accelerator", "Accelerator+DRAM", "Accelerator+DRAM"]
    assert identify("A" * 40, tiny, chip=find_chip(DEFAULT_CHIP)).name_bits < 2**128


def test_the_document_has_the_layouts_of_the_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
    assert f"Version {VERSION}." in text
    for name, field in data.Layout.cast(Control):
        if name == "reserved":
            continue
        low = field.offset % 32
        bits = f"{low}..{low + field.width - 1}" if field.width > 1 else f"{low}"
        assert f"| {bits} | `{name}` |" in text
    assert "1 HELLO, 2 DATA, 3 STATE" in text
    assert [(kind.name, kind.value) for kind in Kind] == [("HELLO", 1), ("DATA", 2), ("STATE", 3)]
    places = [
        text.index(f"`{name}`", text.index("The payload of the board's HELLO"))
        for name, _ in data.Layout.cast(Hello)
        if name != "reserved"
    ]
    assert places == sorted(places)
    assert f"modulo {2**POSITION_BITS:,}" in text
    assert f"board holds {BUFFER_WORDS} words" in text


def test_the_document_has_the_times_of_the_code() -> None:
    text = (Path(__file__).parents[3] / "docs" / "protocol.md").read_text(encoding="utf-8")
    wait = Patience()
    limits = (
        f"no board answers ({wait.hello:g} s), nothing whole comes ({wait.silence:g} s), the board answers but no word "
        f"moves ({wait.progress:g} s), or the port does not come back ({wait.port:g} s)"
    )
    assert limits in text
    assert f"{MIN_BAUD:,} bits a second at least" in text
    longest = encode_frame([0xC0C0C0C0] * (2**MAX_SIZE + CONTROL_WORDS))
    # eight data bits, a start and a stop bit
    assert wait.silence - 2 < len(longest) * 10 / MIN_BAUD < wait.silence
    assert "lost twenty times" in text
    assert MOST_LOSSES == 20
