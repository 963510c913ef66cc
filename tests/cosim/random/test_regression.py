"""The regression: expected results of its packets, and the components that it covers."""

import re

import numpy as np
import pytest

from spikequant.cosim.mutation.mutants import COMPONENTS, design_of, module_names
from spikequant.cosim.random.edges import edge_programs
from spikequant.cosim.random.regression import FINAL, PLAIN, RESET, SPEC, bench_words, regression
from spikequant.cosim.random.verify import expected_results, first_error
from spikequant.cosim.simulator.device import SimulatedDevice
from spikequant.golden.layer.integer import run_layer
from spikequant.golden.layer.random_layers import random_vectors
from spikequant.rtl.driver.program import layer_program


def test_scenes_are_the_same_in_every_call() -> None:
    assert bench_words(regression()) == bench_words(regression())


@pytest.mark.long
def test_the_design_answers_as_the_packets_mean(tmp_path_factory: pytest.TempPathFactory) -> None:
    scenes = [scene for scene in regression() if scene.results]
    assert len(scenes) > 30
    with SimulatedDevice(SPEC, cache=tmp_path_factory.mktemp("cache")) as device:
        for number, scene in enumerate(scenes):
            expected = expected_results(SPEC, scene.packets)
            assert len(expected) == scene.results, number
            received = device.play(scene.packets, scene.results).packets
            assert first_error(SPEC, expected, received) == "", number


def test_edges_are_reached() -> None:
    programs = list(edge_programs(SPEC))
    found = [expected_results(SPEC, packets) for packets, _ in programs]
    assert [len(results) for results in found] == [count for _, count in programs]
    limit = 2 ** (SPEC.membrane_bits - 1)
    bound = SPEC.max_population
    sums = {int(abs(run.score.level).sum()) for results in found for one in results for run in one.runs}
    assert {bound - 1, bound} <= sums
    own = {int(one.membrane[0] - one.bias[0]) for one in found[1]}
    assert {side * (limit + near) for side in (1, -1) for near in (-2, -1, 0, 1)} == own
    assert {abs(int(one.membrane[0])) for one in found[2]} >= {1 << bit for bit in range(SPEC.membrane_bits)}
    ends = [run.score for results in found for one in results for run in one.runs]
    assert all(int(score.header.address) + score.words == SPEC.score_words for score in ends)


def test_every_word_is_played() -> None:
    scenes = regression()
    kinds = np.frombuffer(bench_words(scenes), "<u4").reshape(-1, 2)[:, 0]
    assert (kinds == RESET).sum() == len(scenes)
    expected = sum(min(sum(map(len, scene.packets)), scene.cut or 10**9) for scene in scenes)
    assert np.isin(kinds, (PLAIN, FINAL)).sum() == expected


def test_some_membranes_saturate_and_some_do_not() -> None:
    vectors = random_vectors(SPEC, outputs=20, inputs=24, tokens=4, salient_fraction=0.3, seed=1)
    saturated = run_layer(vectors, SPEC).saturated
    assert not saturated.all()
    assert layer_program(SPEC, vectors).places


def test_every_module_belongs_to_a_component() -> None:
    modules = module_names(design_of(SPEC))
    homes = {name: [c for c, pattern in COMPONENTS.items() if re.search(pattern, name)] for name in modules}
    assert [name for name in modules if not homes[name]] == []
    # Yosys takes an empty list of modules for all of them
    assert {component for own in homes.values() for component in own} == set(COMPONENTS)
