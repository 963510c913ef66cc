"""Fixtures of tiny models."""

from support.models import _float_model, _one_thread, float_model, prose, tokenizer, windows
