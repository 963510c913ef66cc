"""Failures that name what was running."""

import pytest

from spikequant.golden.support.errors import InputError, SpikeQuantError, named_failures


def test_a_failure_names_its_source_and_bad_input_its_own() -> None:
    with pytest.raises(SpikeQuantError, match=r"^q_proj of model: no answer$"), named_failures("q_proj of model"):
        raise SpikeQuantError("no answer")
    with pytest.raises(InputError, match=r"^config: unknown$"), named_failures("q_proj of model"):
        raise InputError("config: unknown")
