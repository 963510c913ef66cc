"""Every reader takes what is right, and refuses cut and changed files in one line, without any fuzzer."""

from pathlib import Path
from random import Random

import pytest

from spikequant.gen.fuzz.targets import DECLARED, TARGETS, LinesError, Target, run_once

LIGHT = [name for name in TARGETS if name != "gguf"]
"""Transformers take a second for each file."""


@pytest.mark.parametrize("target", LIGHT)
def test_samples_are_taken_and_damaged_ones_refused(target: str, tmp_path: Path) -> None:
    samples = TARGETS[target].samples()
    # a description names files that are not there
    assert run_once(target, samples[0], tmp_path) is (target != "description")
    random = Random(target)
    refused = 0
    for sample in samples:
        for _ in range(60):
            content = bytearray(sample)
            for _ in range(random.randint(1, 4)):
                content[random.randrange(len(content))] = random.randrange(256)
            refused += not run_once(target, bytes(content[: random.randint(0, len(content))]), tmp_path)
    assert refused > 0


def test_gguf_metadata_is_refused_in_one_line(tmp_path: Path) -> None:
    sample = TARGETS["gguf"].samples()[0]
    assert run_once("gguf", sample, tmp_path)
    for content in (sample[:40], sample[:1000], b"GGUF" + b"\xff" * 60, b"GGML"):
        assert not run_once("gguf", content, tmp_path)


def test_an_error_of_several_lines_is_a_finding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_: Path) -> object:
        raise DECLARED[0]("one\ntwo")

    monkeypatch.setattr("spikequant.gen.fuzz.targets.TARGETS", {"it": Target("input.bin", read, list)})
    with pytest.raises(LinesError):
        run_once("it", b"", tmp_path)
