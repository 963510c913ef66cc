"""The house rules: imports point one way, and the integers need no torch."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

ROOMS = ("golden", "rtl", "gen", "cosim", "fpga", "benchmarks")

ALLOWED = {
    "golden": {"golden"},
    "rtl": {
        "golden.spec",
        "golden.vectors",
        "golden.errors",
        "golden.files",
        "golden.integer",
        "golden.mac",
        "golden.score",
        "golden.tiling",
        "golden.waiting",
        "golden.words",
        "rtl",
    },
    "gen": {"golden", "rtl", "gen"},
    "cosim": {"golden", "rtl", "gen", "cosim"},
    "fpga": {"golden", "rtl", "gen", "fpga"},
    "benchmarks": {"golden", "rtl", "gen", "cosim", "fpga", "benchmarks"},
}
"""What of this project each folder may import; a name stands for everything below it."""

FORBIDDEN = {
    "golden": {"amaranth", "amaranth_boards", "cocotb", "cocotbext"},
    "rtl": {"torch", "transformers", "cocotb", "cocotbext"},
    "gen": {"torch", "transformers", "cocotb", "cocotbext"},
    "cosim": set[str](),
    "fpga": set[str](),
    "benchmarks": set[str](),
}
"""Other packages that a folder may import nowhere, not even inside a function or through another module."""

COMPOSITION_ROOTS = {
    "gen.bake",
    "gen.board",
    "gen.cli",
    "gen.commands",
    "gen.demo",
    "gen.disturbed",
    "gen.generate_text",
    "gen.run",
    "gen.sweep.jobs",
    "gen.sweep.run",
}
"""They put the commands of all folders together, or their work; so they alone may import everything."""


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules(root: Path) -> dict[str, Path]:
    return {module_name(path, root): path for room in ROOMS for path in sorted((root / room).rglob("*.py"))}


def imports(path: Path, known: dict[str, Path]) -> Iterator[tuple[int, str]]:
    """Line and full name of every import in a file, at the top and inside functions alike."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            for alias in node.names:
                inner = f"{base}.{alias.name}"
                yield node.lineno, inner if inner in known else base


def below(name: str, allowed: set[str]) -> bool:
    return any(name == entry or name.startswith(entry + ".") for entry in allowed)


def needs(module: str, graph: dict[str, set[str]]) -> set[str]:
    """Everything that a module imports, itself or through other modules of the project."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        for name in graph.get(todo.pop(), set()) - seen:
            seen.add(name)
            todo.append(name)
    return seen


def breaches(root: Path) -> list[str]:
    """Every import that breaks the rules, as ``file:line: what``."""
    known = modules(root)
    graph = {module: {name for _, name in imports(path, known)} for module, path in known.items()}
    found = []
    for module, path in known.items():
        if module in COMPOSITION_ROOTS:
            continue
        room = module.split(".")[0]
        for line, name in imports(path, known):
            where = f"{path.relative_to(root)}:{line}"
            if name.startswith("."):
                found.append(f"{where}: relative import")
            elif name.split(".")[0] in ROOMS and not below(name, ALLOWED[room]):
                found.append(f"{where}: {room} imports {name}")
            elif name in COMPOSITION_ROOTS:
                found.append(f"{where}: {name} is a composition root")
            else:
                unwanted = sorted(n for n in {name} | needs(name, graph) if below(n, FORBIDDEN[room]))
                found.extend(f"{where}: {room} imports {package} through {name}" for package in unwanted)
    return found


def test_imports_point_one_way() -> None:
    assert set(modules(ROOT)) > {"golden.spec", "golden.integer", "rtl.shapes"}
    assert breaches(ROOT) == []


@pytest.mark.parametrize(
    ("module", "source", "breach"),
    [
        ("golden/bad.py", "import amaranth.hdl", "golden/bad.py:1: golden imports amaranth.hdl through amaranth.hdl"),
        ("golden/bad.py", "def f():\n    from rtl import shapes", "golden/bad.py:2: golden imports rtl.shapes"),
        ("golden/bad.py", "from . import spec", "golden/bad.py:1: relative import"),
        ("rtl/bad.py", "from golden.quantize import f", "rtl/bad.py:1: rtl imports golden.quantize"),
        ("rtl/bad.py", "import torch", "rtl/bad.py:1: rtl imports torch through torch"),
        ("gen/bad.py", "def f():\n    import torch", "gen/bad.py:2: gen imports torch through torch"),
        ("gen/bad.py", "from golden import quantize", "gen/bad.py:1: gen imports torch through golden.quantize"),
        ("gen/bad.py", "import golden.linear", "gen/bad.py:1: gen imports torch through golden.linear"),
        ("gen/bad.py", "import cosim.runner", "gen/bad.py:1: gen imports cosim.runner"),
        ("cosim/bad.py", "import fpga.build", "cosim/bad.py:1: cosim imports fpga.build"),
        ("fpga/bad.py", "from cosim import runner", "fpga/bad.py:1: fpga imports cosim.runner"),
        ("fpga/bad.py", "import gen.cli", "fpga/bad.py:1: gen.cli is a composition root"),
    ],
)
def test_each_breach_is_found(tmp_path: Path, module: str, source: str, breach: str) -> None:
    files = {
        "golden/spec.py": "",
        "golden/quantize.py": "import torch",
        "golden/linear.py": "from golden.quantize import f",
        "rtl/shapes.py": "from amaranth.hdl import Signal\nfrom golden.spec import Spec",
        "gen/verilog.py": "from rtl.shapes import layout\nfrom golden import spec",
        "gen/cli.py": "from cosim import runner\nimport fpga.build, torch",
        "cosim/runner.py": "import gen.verilog, golden.linear, torch",
        "fpga/build.py": "import gen.verilog",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert breaches(tmp_path) == []
    (tmp_path / module).write_text(source)
    assert breaches(tmp_path) == [breach]


@pytest.mark.parametrize("module", ["spec", "vectors", "integer", "neuron", "samples", "files", "errors"])
def test_the_integers_are_light(module: str) -> None:
    program = f"import sys, golden.{module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "golden" in loaded
    assert not loaded & {"torch", "transformers", "amaranth", "cocotb", "matplotlib"}
