import re
import shutil
import subprocess

import pytest

from spikequant.cosim.simulator.verilator import lint, tool_environment
from spikequant.golden.layer.spec import PRESETS, Spec
from spikequant.rtl.manifest import WAIVERS, write_generated
from spikequant.rtl.style import Style
from spikequant.rtl.verilog import TOP, arithmetic_operators, generate, generate_verilog

SPECS = {
    **PRESETS,
    "one lane": Spec(neurons=8, lanes=1, depth=16),
    "many lanes": Spec(neurons=8, lanes=16, depth=64),
    "no salient phase": Spec(neurons=8, lanes=2, depth=16, salient_bits=0),
    "ramp": Spec(neurons=8, lanes=2, depth=16, output_bits=4, readout="ramp"),
    "narrow": Spec(neurons=16, lanes=2, depth=16, weight_bits=2, activation_bits=2, salient_bits=3, membrane_bits=8),
    "wide": Spec(neurons=8, lanes=2, depth=16, weight_bits=8, activation_bits=7, salient_bits=7, membrane_bits=39),
}


@pytest.mark.parametrize("name", SPECS)
def test_verilog_has_no_multiplication_or_division(name):
    assert arithmetic_operators(generate_verilog(SPECS[name])) == []


def test_the_operator_search_finds_what_it_looks_for():
    text = "(* attribute *) module m; always @* a = b; /* x * y */ // p / q\n c = d * e;\n f = g / h;\n i = j % k;\n"
    assert len(arithmetic_operators(text)) == 3


def test_equal_specs_give_equal_text():
    assert generate_verilog(PRESETS["tiny"]) == generate_verilog(Spec(**PRESETS["tiny"].model_dump()))


def test_verilog_is_plain_verilog_2005(tmp_path):
    """Verilator in its strict Verilog-2005 mode accepts the file, with exactly one top module."""
    path = tmp_path / "spikequant.v"
    path.write_text(generate_verilog(PRESETS["tiny"]))
    environment = tool_environment()
    verilator = shutil.which("verilator", path=environment["PATH"])
    command = [verilator, "--lint-only", "--default-language", "1364-2005", "-Wno-lint", "-Wno-style"]
    done = subprocess.run([*command, str(path)], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"module {TOP}(" in path.read_text().replace(f"\\{TOP} ", TOP)


def test_lint_prints_nothing_beyond_the_waivers(tmp_path):
    write_generated(PRESETS["tiny"], tmp_path)
    assert lint(tmp_path, WAIVERS.name, f"{TOP}.v") == []


def test_lint_finds_what_is_not_waived(tmp_path):
    (tmp_path / "wide.v").write_text("module wide(input [3:0] i, output o);\n  assign o = i;\nendmodule\n")
    assert any("WIDTHTRUNC" in line for line in lint(tmp_path, "wide.v"))


CELL = re.compile(r"^  (\w+) (?:#|\S+ +)\($", re.MULTILINE)


@pytest.mark.parametrize(
    ("style", "primitives"), [(Style.PORTABLE, set()), (Style.ECP5, {"CCU2C", "DP16KD", "PDPW16KD", "TRELLIS_FF"})]
)
def test_primitives_are_those_of_the_style(style, primitives):
    """Many clusters build their small memories from lookup tables, for which the ECP5 has an attribute."""
    text = generate(Spec(neurons=24, clusters=3, lanes=2, depth=16, score_words=64), style).verilog
    modules = set(re.findall(r"^module (\w+)", text, re.MULTILINE))
    assert set(CELL.findall(text)) - modules == primitives
    assert set(re.findall(r"\(\* (\w+)", text)) == ({"keep", "ram_style"} if primitives else set())


def test_modules_are_shared_and_named_by_their_component():
    text = generate_verilog(PRESETS["tiny"])
    modules = re.findall(r"^// (.*)\nmodule (\w+)", text, re.MULTILINE)
    assert ("Linked lists of inputs, one for each level, with links in block RAM.", f"{TOP}_bucket") in modules
    assert text.count(f"  {TOP}_bucket bucket_") == 4
    assert all(name.startswith(TOP) for _, name in modules)
    assert text.count("\n") < 6000


def test_header_lists_spec_ports_and_format():
    spec = PRESETS["tiny"]
    header, _, _ = generate_verilog(spec).partition("\nmodule ")
    settings = spec.model_dump()
    # an option that is off changes nothing, and is not mentioned
    assert not settings.pop("weight_parity")
    assert "weight_parity" not in header
    assert all(re.search(rf"^//   {name} +{value} ", header, re.MULTILINE) for name, value in settings.items())
    assert "Packets: format 1," in header
