"""Elementwise functions compiled into one pass over memory."""

import shutil
from collections.abc import Callable
from functools import cache
from typing import ParamSpec, TypeVar

import torch

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@cache
def fused(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A function of tensors, compiled for this machine at its first call; itself where there is no C++ compiler.

    Numbers among the arguments are compiled in: one that changes from call to call should be a tensor.
    """
    if not shutil.which("g++"):
        return function
    return torch.compile(function, dynamic=True)
