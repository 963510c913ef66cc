"""The accelerator as one plain Verilog file."""

import re

from amaranth.back import verilog

from golden.spec import Spec
from rtl.accelerator import Accelerator

TOP = "spikequant"
"""Name of the top module."""


def generate_verilog(spec: Spec) -> str:
    """Verilog-2005 of the accelerator, with top module ``spikequant``; equal specs give equal text."""
    return verilog.convert(Accelerator(spec), name=TOP, emit_src=False, strip_internal_attrs=True)


def arithmetic_operators(text: str) -> list[str]:
    """Multiplications and divisions in Verilog text, outside of comments, attributes and event lists."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/|\(\*.*?\*\)|@\s*(\*|\(\*\))", " ", text, flags=re.DOTALL)
    return re.findall(r"[^\n]*[*/%][^\n]*", code)
