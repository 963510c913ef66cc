"""Fixtures that tests here share with other folders."""

from support.models import (
    _float_model,
    _one_thread,
    family_model,
    float_model,
    prose,
    quantized_model,
    recipe,
    tokenizer,
    windows,
)
