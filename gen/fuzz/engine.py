"""One fuzzing run: ``python -m spikequant.gen.fuzz.engine TARGET FLAG... CORPUS``, with the flags of libFuzzer.

It runs in its own process, because libFuzzer ends the process. A file in place of the corpus is replayed.
"""

import logging
import sys
import tempfile
import warnings
from pathlib import Path

import atheris

INSTRUMENTED = ["spikequant.golden", "spikequant.rtl", "spikequant.gen", "gguf", "zipfile", "numpy.lib"]
"""Packages whose branches are counted."""


def main(target: str, arguments: list[str]) -> None:
    """Fuzz a target until the flags end it."""
    logging.disable()
    warnings.simplefilter("ignore")
    folder = Path(tempfile.mkdtemp(prefix="spikequant-"))
    with atheris.instrument_imports(include=INSTRUMENTED):
        from spikequant.gen.fuzz.targets import TARGETS, run_once

        # readers import what they need when they run
        for sample in TARGETS[target].samples():
            run_once(target, sample, folder)

    def once(content: bytes) -> None:
        run_once(target, content, folder)

    atheris.Setup([sys.argv[0], *arguments], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
