"""Fuzzing of one target with libFuzzer, in a process of its own."""

import re
import subprocess
import sys
from pathlib import Path

from spikequant.gen.fuzz.targets import TARGETS
from spikequant.golden.support.figures import Figures

MEMORY_MB = 3000
"""Memory limit of a target; PyTorch and transformers use 900 MB of it."""

HANG_SECONDS = 20

LARGEST = 4096
"""Most bytes in an input."""


class TargetFigures(Figures):
    """Figures of one target.

    Attributes:
        runs: inputs tried.
        branches: branches covered.
        memory_mb: peak memory.
        status: exit status of the process.
        error: first error line; empty if there is none.
        findings: files with the inputs that failed.
    """

    runs: int
    branches: int
    memory_mb: int
    status: int
    error: str
    findings: list[str]

    @property
    def ok(self) -> bool:
        """Whether no input failed and the process ended well."""
        return not self.findings and not self.status


class FuzzFigures(Figures):
    """Figures of a fuzzing run; the targets by name.

    Attributes:
        ok: no input failed.
        seconds: time for each target.
        targets: by name.
    """

    ok: bool
    seconds: int
    targets: dict[str, TargetFigures]


def fuzz_target(target: str, folder: Path, *, seconds: int, seed: int) -> TargetFigures:
    """Fuzz one target.

    Args:
        target: a key of ``TARGETS``.
        folder: for the corpus, which later runs extend, the findings and the log.
        seconds: duration.
        seed: of the mutations.
    """
    corpus, wrong = folder / "corpus", folder / "findings"
    for place in (corpus, wrong):
        place.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(TARGETS[target].samples()):
        (corpus / f"sample-{number}").write_bytes(sample)
    flags = {
        "max_total_time": seconds,
        "rss_limit_mb": MEMORY_MB,
        "timeout": HANG_SECONDS,
        "max_len": LARGEST,
        "seed": seed,
        "artifact_prefix": f"{wrong}/",
        "print_final_stats": 1,
    }
    command = [sys.executable, "-m", "spikequant.gen.fuzz.engine", target, *(f"-{k}={v}" for k, v in flags.items())]
    log = folder / "log.txt"
    with log.open("wb") as output:
        status = subprocess.run([*command, str(corpus)], stdout=output, stderr=output, check=False).returncode
    text = log.read_text(encoding="utf-8", errors="replace")
    # statistics as libFuzzer prints them
    found = {key: int(value) for key, value in re.findall(r"stat::(\w+):\s+(\d+)", text)}
    branches = re.findall(r"cov: (\d+)", text)
    errors = re.findall(r"Uncaught Python exception: ===\s*(.*)", text)
    return TargetFigures(
        runs=found.get("number_of_executed_units", 0),
        branches=int(branches[-1]) if branches else 0,
        memory_mb=found.get("peak_rss_mb", 0),
        status=status,
        error=errors[0] if errors else "",
        findings=sorted(str(path) for path in wrong.iterdir()),
    )
