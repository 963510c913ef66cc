import hashlib
import json
import re

import pytest

from spikequant.golden.layer.spec import PRESETS
from spikequant.golden.support.errors import InputError
from spikequant.rtl.manifest import make_manifest, write_generated
from spikequant.rtl.verilog import generate


def test_manifest_describes_the_verilog_beside_it(tmp_path):
    spec = PRESETS["tiny"]
    write_generated(spec, tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    verilog = (tmp_path / "spikequant.v").read_bytes()
    assert manifest["verilog"]["sha256"] == hashlib.sha256(verilog).hexdigest()
    assert manifest["spec"] == spec.model_dump()
    assert manifest["widths"]["charge_bits"] == spec.charge_bits
    assert manifest["tools"]["amaranth"]


@pytest.mark.parametrize("preset", ["tiny", "base"])
def test_ports_of_the_manifest_are_those_of_the_verilog(preset):
    generated = generate(PRESETS[preset])
    verilog = generated.verilog
    top = verilog[verilog.index("module spikequant(") :]
    top = top[: top.index("endmodule")]
    declared = {
        name: ("in" if direction == "input" else "out", int(high or 0) + 1)
        for direction, high, name in re.findall(r"^  (input|output) (?:\[(\d+):0\] )?(\w+);", top, re.MULTILINE)
    }
    ports = make_manifest(PRESETS[preset], generated)["ports"]
    assert declared == {name: (port["direction"], port["width"]) for name, port in ports.items()}


def test_unwritable_folder_is_refused_and_nothing_is_left(tmp_path):
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(InputError, match="cannot write here"):
        write_generated(PRESETS["tiny"], blocker / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
