"""FuseSoC and LiteX around a generated accelerator; `make flows` installs them aside and runs this."""

import sys
from pathlib import Path

import pytest

import support
from support.generated import OUTPUTS, corrupt, needs_icarus, play

FLOWS = Path(f"{sys.prefix}-flows") / "bin"
"""Programs of the environment that `make flows` makes."""

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not FLOWS.is_dir(), reason="make flows installs FuseSoC and LiteX"),
]


def fusesoc(folder: Path, options: str) -> tuple[int, str]:
    """Run a target of the core in the folder."""
    return play(f"fusesoc --cores-root . run {options} spikequant", folder, tools=FLOWS)


def test_fusesoc_lints_the_core(away: Path) -> None:
    status, printed = fusesoc(away, "--target lint")
    assert status == 0, printed
    assert "%Warning" not in printed


@pytest.mark.parametrize("tool", [pytest.param("icarus", marks=needs_icarus), "verilator"])
def test_fusesoc_simulates_the_core(away: Path, tool: str) -> None:
    status, printed = fusesoc(away, f"--target sim --tool {tool}")
    assert status == 0, printed
    assert f"PASS: {OUTPUTS} outputs compared, wrong words: 0" in printed
    corrupt(away)
    status, printed = fusesoc(away, f"--target sim --tool {tool}")
    assert status == 1
    assert "wrong words: 1" in printed


def test_a_soc_of_litex_runs_a_layer(away: Path, tmp_path: Path) -> None:
    script = Path(support.__file__).with_name("litex_soc.py")
    run = f"python {script} {away} {tmp_path / 'soc'}"
    status, printed = play(run, tmp_path, tools=FLOWS)
    assert status == 0, printed
    words = len((away / "testbench" / "results.hex").read_text(encoding="utf-8").split())
    assert printed.splitlines()[-1] == f"{words} words compared, 0 wrong"
    corrupt(away)
    status, printed = play(run, tmp_path, tools=FLOWS)
    assert status == 1
    assert printed.splitlines()[-1] == f"{words} words compared, 1 wrong"
