"""Answers of ABC, also after it has crashed on an output."""

from pathlib import Path

import pytest

from spikequant.cosim.formal import reachability
from spikequant.cosim.formal.graph import Graph, write_graph
from spikequant.cosim.formal.prove import find_tools
from spikequant.cosim.formal.reachability import GRAPH, ask, bounded, never_true, unbounded

# inputs a, b and c; latches with a and b of the previous cycle, and one that never changes
GRAPH_OF_THREE = Graph(
    inputs=["a", "b", "c"],
    latches=[2, 4, 14],
    outputs=[2, 4, 12, 16, 18],
    # the third with c, and the others together; now and before
    conjunctions=[(12, 6), (10, 8), (16, 6)],
)
NEVER = [False, False, True, False, False]


@pytest.fixture(name="folder")
def folder_fixture(tmp_path: Path) -> Path:
    (tmp_path / GRAPH).write_bytes(write_graph(GRAPH_OF_THREE))
    return tmp_path


def test_each_output_has_its_answer(folder: Path) -> None:
    assert never_true(find_tools().path("yosys"), folder) == NEVER


def test_a_question_that_kills_has_no_answer_and_the_others_have(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def deadly(seconds: int) -> str:
        asked.append(seconds)
        return "quit" if len(asked) == 2 else unbounded(seconds)

    monkeypatch.setattr(reachability, "abstract", deadly)
    assert never_true(find_tools().path("yosys"), folder, seconds=3) == NEVER
    # the four that induction leaves open, and again those after the one that ABC crashes on
    assert asked == [3] * 6
    assert not (folder / "1.txt").exists()
    assert [(folder / f"{place}.txt").is_file() for place in (0, 3, 4)] == [True] * 3


def test_a_failure_has_its_cycle(folder: Path) -> None:
    program = find_tools().path("yosys")
    # both inputs must come a cycle before, so the last cycle without a failure is the first
    (folder / GRAPH).write_bytes(write_graph(Graph(["a", "b"], [2, 4], [10], [(8, 6)])))
    found = ask(program, folder, bounded(5, 10), reduce="strash")
    assert (found.verdict, found.cycle) == ("fails", 0)
    assert ask(program, folder, unbounded(10), reduce="strash").verdict == "fails"
    (folder / GRAPH).write_bytes(write_graph(Graph(["a"], [6], [4], [(4, 2)])))
    assert ask(program, folder, unbounded(10), reduce="strash; scorr").verdict == "proved"
