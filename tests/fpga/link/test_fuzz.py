from pathlib import Path
from typing import Any

import pytest
from amaranth.hdl import Module, Value
from amaranth.lib.wiring import Component, In

import spikequant.fpga.link.link
from spikequant.fpga.link.fuzz import FuzzError, build_fuzzer, fuzz


@pytest.fixture(scope="module")
def program(build_cache: Path) -> Path:
    return build_fuzzer(cache=build_cache)


def test_no_frame_makes_the_board_do_wrong(program: Path) -> None:
    figures = fuzz(program, frames=20_000, seed=5, seconds=120)
    assert figures.ok
    assert figures.frames >= 20_000
    # all kinds of frames were among them
    assert all(
        getattr(figures, name) > 100 for name in ("taken", "damaged", "refused", "overruns", "words", "result_words")
    )
    assert figures.sessions > 10


class Broken(Component):
    """A block of which one input is stuck or one too large."""

    def __init__(self, block: Any, pin: str, *, added: int | None) -> None:
        self._block, self._pin, self._added = block, pin, added
        super().__init__(block.signature)

    def elaborate(self, _platform: object) -> Module:
        m = Module()
        m.submodules.block = self._block
        for path, member, pin in self.signature.flatten(self):
            inner = self._block
            for name in path:
                inner = getattr(inner, str(name))
            if member.flow is not In:
                m.d.comb += Value.cast(pin).eq(inner)
            elif path == (self._pin,):
                m.d.comb += inner.eq(0 if self._added is None else Value.cast(pin) + self._added)
            else:
                m.d.comb += inner.eq(pin)
        return m


@pytest.mark.parametrize(
    ("block", "pin", "added", "found"),
    [
        ("FrameSender", "next", 1, "a sequence out of range|a wrong word from the accelerator"),
        *(
            pytest.param(*fault, marks=pytest.mark.long)
            for fault in (
                ("FrameSender", "again_due", None, "words that are missing are not asked for"),
                ("Inbox", "drop", None, "words that were taken are not delivered"),
                ("Outbox", "acknowledged", None, "a sequence out of range"),
                ("Outbox", "rewind", None, "words of the accelerator do not arrive"),
                ("FrameSender", "limit", 1, "a limit out of range"),
                ("FrameSender", "received", 1, "an acknowledgement out of range"),
            )
        ),
    ],
)
def test_a_board_that_does_wrong_is_found(
    monkeypatch: pytest.MonkeyPatch, build_cache: Path, block: str, pin: str, added: int | None, found: str
) -> None:
    whole = getattr(spikequant.fpga.link.link, block)
    monkeypatch.setattr(
        spikequant.fpga.link.link, block, lambda *sizes, **named: Broken(whole(*sizes, **named), pin, added=added)
    )
    program = build_fuzzer(cache=build_cache)
    with pytest.raises(FuzzError, match=rf"^seed 5: after \d+ frames, \d+ cycles: ({found})$"):
        fuzz(program, frames=20_000, seed=5, seconds=120)


def test_a_fuzzer_that_does_not_end_is_a_failure(program: Path) -> None:
    with pytest.raises(FuzzError, match=r"^seed 5: not finished after 0.2 s$"):
        fuzz(program, frames=100_000_000, seed=5, seconds=0.2)


def test_the_finding_of_the_program_is_the_error(tmp_path: Path) -> None:
    program = tmp_path / "link"
    program.write_text("#!/bin/sh\necho 'after 7 frames, 9 cycles: a wrong word is delivered'\nexit 1\n")
    program.chmod(0o755)
    with pytest.raises(FuzzError, match=r"^seed 3: after 7 frames, 9 cycles: a wrong word is delivered$"):
        fuzz(program, frames=1, seed=3, seconds=5)
