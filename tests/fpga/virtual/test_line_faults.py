from dataclasses import replace

from rich.console import Console

from spikequant.cosim.scoreboard import Verdict
from spikequant.fpga.virtual.line_faults import Outcome, outcomes_table


def test_what_counts_as_right() -> None:
    right = Verdict(outputs=5, mismatches=0, saturated=0, first="")
    good = Outcome(
        trial="it", verdict=right, disturbed=True, reason="", lost=False, may_end=False, health=None, seconds=1.0
    )
    ended = good.model_copy(update={"verdict": None, "reason": "port: lost", "lost": True, "may_end": True})
    assert good.ok
    assert ended.ok
    bad = [
        good.model_copy(update={"disturbed": False}),
        good.model_copy(update={"verdict": replace(right, mismatches=1)}),
        good.model_copy(update={"verdict": replace(right, saturated=1)}),
        ended.model_copy(update={"may_end": False}),
        ended.model_copy(update={"lost": False}),
        ended.model_copy(update={"disturbed": False}),
        good.model_copy(update={"may_end": True}),
    ]
    assert not any(outcome.ok for outcome in bad)
    console = Console(width=80)
    with console.capture() as shown:
        console.print(outcomes_table([good, ended, bad[0]]))
    assert [line.split()[-1] for line in shown.get().splitlines()[-3:]] == ["right", "ended", "FAILED"]
