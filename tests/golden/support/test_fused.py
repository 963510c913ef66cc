import shutil
from typing import Any

import pytest
import torch

from spikequant.golden.support.fused import fused


def scaled(values: torch.Tensor, by: torch.Tensor) -> torch.Tensor:
    return (values * by).round().clamp(-3, 3)


@pytest.mark.parametrize("compiler", ["g++", None])
def test_a_fused_function_gives_what_it_gave(monkeypatch: pytest.MonkeyPatch, compiler: str | None) -> None:
    def which(_name: str, *_arguments: Any) -> str | None:
        return compiler

    monkeypatch.setattr(shutil, "which", which)
    fused.cache_clear()
    found = fused(scaled)
    fused.cache_clear()
    monkeypatch.undo()
    assert compiler or found is scaled
    for shape in ((5, 7), (2, 3, 7)):
        values, by = torch.randn(shape), torch.rand(7)
        assert found(values, by).equal(scaled(values, by))
