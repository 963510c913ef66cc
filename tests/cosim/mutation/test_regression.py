"""The regression itself is right: what it takes for the design's answers are the golden model's."""

import numpy as np

from cosim.mutation.mutants import COMPONENTS, design_of
from cosim.mutation.regression import FINAL, PLAIN, RESET, SPEC, bench_words, regression
from golden.integer import run_layer
from golden.samples import random_vectors
from rtl.program import layer_program


def test_scenes_are_the_same_in_every_call() -> None:
    assert bench_words(regression()) == bench_words(regression())


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
    import re

    modules = [name.removeprefix("\\") for name in re.findall(r"^module (\S+)", design_of(SPEC), re.MULTILINE)]
    homeless = [name for name in modules if not any(re.search(pattern, name) for pattern in COMPONENTS.values())]
    assert not homeless
