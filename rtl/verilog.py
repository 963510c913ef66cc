"""The accelerator as one plain Verilog file."""

import re
from dataclasses import dataclass
from typing import Any

from amaranth.back import verilog

from spikequant.golden.layer.spec import Spec
from spikequant.rtl.accelerator import Accelerator

TOP = "spikequant"
"""Name of the top module."""


@dataclass(frozen=True)
class Generated:
    """An accelerator as Verilog.

    Attributes:
        verilog: Verilog-2005 with top module ``spikequant``.
        ports: metadata of the component's ports, by name.
    """

    verilog: str
    ports: dict[str, Any]


def generate(spec: Spec) -> Generated:
    """Verilog and ports of the accelerator; equal specs give equal text."""
    accelerator = Accelerator(spec)
    text = verilog.convert(accelerator, name=TOP, emit_src=False, strip_internal_attrs=True)
    return Generated(verilog=text, ports=accelerator.metadata.as_json()["interface"]["members"])


def generate_verilog(spec: Spec) -> str:
    """Verilog of the accelerator."""
    return generate(spec).verilog


def arithmetic_operators(text: str) -> list[str]:
    """Multiplications and divisions in Verilog text, outside of comments, attributes and event lists."""
    code = re.sub(r"//[^\n]*|/\*.*?\*/|\(\*.*?\*\)|@\s*(\*|\(\*\))", " ", text, flags=re.DOTALL)
    return re.findall(r"[^\n]*[*/%][^\n]*", code)
