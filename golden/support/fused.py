"""Elementwise functions compiled into one pass over memory."""

import shutil
import sysconfig
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ParamSpec, TypeVar

import torch

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")


@cache
def fused(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """A function of tensors, compiled for this machine at its first call; itself where that is not possible.

    It takes a C++ compiler and Python's header files. Numbers among the arguments are compiled in: one that changes
    from call to call should be a tensor.
    """
    header = Path(sysconfig.get_path("include"), "Python.h")
    if shutil.which("g++") is None or not header.is_file():
        return function
    return torch.compile(function, dynamic=True)
