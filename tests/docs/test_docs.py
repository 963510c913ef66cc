"""Everything that the documentation names exists, its Python runs, and the site builds without a warning."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from spikequant.gen.cli import app

ROOT = Path(__file__).parents[2]
PAGES = [
    *(ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
PATH = re.compile(r"`((?:golden|rtl|cosim|fpga|benchmarks|gen|tests|docs|examples)/[\w./*-]*)`")
MODULE = re.compile(r"\bspikequant\.((?:golden|rtl|cosim|fpga|benchmarks|gen)(?:\.\w+)*)")
COMMAND = re.compile(r"(?:^|[`$ ])(?:\.venv/bin/)?spikequant ([a-z][a-z-]*)", re.MULTILINE)
TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
CODE = re.compile(r"^( *)```\w*\n(.*?)^\1```$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)


def code_of(page: Path) -> str:
    """The code blocks and code spans of a page."""
    return "\n".join(block or f"`{span}`" for _, block, span in CODE.findall(page.read_text(encoding="utf-8")))


def is_importable(parts: list[str]) -> bool:
    """Whether the parts of a dotted name are a folder, or begin with a module."""
    ends = range(1, len(parts) + 1)
    return ROOT.joinpath(*parts).is_dir() or any(
        ROOT.joinpath(*parts[:end]).with_suffix(".py").exists() for end in ends
    )


def commands() -> dict[str, set[str]]:
    """Options of each command by its name."""
    group = typer.main.get_command(app)
    found = {}
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        found[name] = {
            option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)
        }
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_named_files_modules_commands_and_targets_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    missing = [path for path in PATH.findall(text) if not list(ROOT.glob(path.rstrip("/")))]
    missing += [name for name in MODULE.findall(text) if not is_importable(name.split("."))]
    code = code_of(page)
    missing += [f"spikequant {name}" for name in COMMAND.findall(code) if name not in commands()]
    targets = re.findall(r"^([a-z][a-z-]*):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    missing += [f"make {name}" for name in TARGET.findall(code) if name not in targets]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_options_of_shown_commands_exist(page: Path) -> None:
    known = commands()
    wrong = []
    for line in code_of(page).replace("\\\n", " ").splitlines():
        for name, rest in re.findall(r"spikequant ([a-z][a-z-]*)([^|#`]*)", line):
            options = re.findall(r"(?<![\w-])(--[a-z][a-z-]*)", rest)
            wrong += [f"{name} {option}" for option in options if option not in known.get(name, {option, "--help"})]
    assert not wrong


def test_the_python_of_the_readme_runs(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (source,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    exec(compile(source, "README.md", "exec"), {})
    assert "0 mismatches" in capsys.readouterr().out


def test_links_of_the_readme_lead_somewhere() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        assert (ROOT / path).exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.+)$", (ROOT / path).read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w-]", "", head.lower().replace(" ", "-")) for head in heads], target


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", tmp_path],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr
    commands_page = (tmp_path / "reference" / "commands.html").read_text(encoding="utf-8")
    assert "spikequant cosim" in commands_page
    assert "--stalls" in commands_page
    # nothing is loaded from elsewhere
    for page in tmp_path.rglob("*.html"):
        text = page.read_text(encoding="utf-8")
        assert not re.findall(r"<(?:script|img|iframe)[^>]*src=\"?https?:", text), page
        assert not re.findall(r"<link[^>]*rel=\"?(?:stylesheet|preconnect)[^>]*href=\"?https?:", text), page
