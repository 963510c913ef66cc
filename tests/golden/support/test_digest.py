import copy

import torch

from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import add_prefix
from spikequant.golden.support.digest import digest_model, digest_windows


def test_the_digest_of_windows_depends_on_where_one_ends() -> None:
    tokens = torch.arange(6)
    assert digest_windows([tokens]) == digest_windows([tokens.clone()])
    assert len({digest_windows([tokens]), digest_windows(list(tokens.split(3))), digest_windows([tokens + 1])}) == 3


def test_the_digest_of_a_model_depends_on_its_parameters(float_model: LanguageModel) -> None:
    before = digest_model(float_model.model)
    assert digest_model(float_model.model) == before
    with torch.no_grad():
        float_model.model.model.norm.weight[3] += 1e-6
    assert digest_model(float_model.model) != before


def test_a_prefix_is_part_of_a_model(float_model: LanguageModel) -> None:
    digests = [digest_model(float_model.model)]
    for tokens in ((3,), (4,)):
        model = copy.deepcopy(float_model.model)
        add_prefix(model, tokens)
        digests.append(digest_model(model))
    assert len(set(digests)) == 3
