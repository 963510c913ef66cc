"""Switched bits of a real netlist, and of made-up counts."""

from pathlib import Path

import pytest

from spikequant.benchmarks.designs import Designs
from spikequant.benchmarks.shapes import Candidate
from spikequant.benchmarks.toggles import (
    ToggleError,
    Toggles,
    count_toggles,
    read_changes,
    switched,
    toggle_design,
    toggle_figures,
)
from spikequant.fpga.build.build import find_tools
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import Spec

SAIF = r"""(SAIFILE
(DURATION 99)
 (INSTANCE TOP
  (NET
   (clk (T0 99) (T1 0) (TZ 0) (TX 0) (TB 0) (TC 0))
  )
  (INSTANCE top
   (NET
    (n12 (T0 97) (T1 2) (TZ 0) (TX 0) (TB 0) (TC 2))
    (data\[3\] (T0 0) (T1 99) (TZ 0) (TX 0) (TB 0) (TC 41))
   )
  )
 )
)
"""


def test_a_netlist_gives_golden_results_and_switches_more_for_more_tokens(
    smallest: Spec, tmp_path_factory: pytest.TempPathFactory
) -> None:
    cache = tmp_path_factory.mktemp("cache")
    candidate = Candidate("spiking", "smallest", smallest)
    design = toggle_design(candidate, Designs(cache))

    def toggles(tokens: int) -> Toggles:
        vectors = random_vectors(smallest, tokens=tokens, inputs=4, outputs=11, max_shift=0, extremes=False, seed=1)
        return count_toggles(candidate, design, vectors, tools=find_tools(), cache=cache)

    short, long = toggles(2), toggles(8)
    assert (short.operations, long.operations) == (2 * 4 * 8, 8 * 4 * 8)
    assert short.cycles < long.cycles
    assert sum(short.kinds.values()) == sum(short.components.values()) == short.bits
    assert {"registers", "logic", "carry chains", "memories"} <= set(short.kinds)
    assert {"array", "encoder", "neurons", "readout"} <= set(short.components)
    # every net may switch once a cycle, and a token costs about the same each
    assert long.bits < long.nets * long.cycles
    assert 2 < long.bits / short.bits < 5
    assert toggle_figures(long)["bits_per_operation"] == long.bits / 256
    assert toggles(2) == short


def test_weights_that_are_loaded_while_it_runs_are_refused(smallest: Spec, tmp_path: Path) -> None:
    vectors = random_vectors(smallest, tokens=1, inputs=9, outputs=8, max_shift=0, extremes=False, seed=1)
    candidate = Candidate("spiking", "smallest", smallest)
    design = toggle_design(candidate, Designs(tmp_path))
    with pytest.raises(ToggleError, match=r"^smallest: a layer of 9 inputs loads weights while it runs"):
        count_toggles(candidate, design, vectors, tools=find_tools(), cache=tmp_path)


def test_changes_are_read_by_name(tmp_path: Path) -> None:
    path = tmp_path / "changes.saif"
    path.write_text(SAIF)
    assert read_changes(path) == {"clk": 0, "n12": 2, "data[3]": 41}


def test_bits_add_up_by_group_and_none_is_missing() -> None:
    groups = {"a": "registers", "b": "logic", "c": "registers"}
    assert switched(groups, {"a": 1, "b": 7, "c": 2, "other": 100}) == {"logic": 7, "registers": 3}
    with pytest.raises(ToggleError, match="net c: the simulation does not count it"):
        switched(groups, {"a": 1, "b": 7})
