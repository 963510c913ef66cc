"""The project's own rules: the order of imports has no exemptions, and its papers agree with its files."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
LINTER = PROJECT["tool"]["importlinter"]


def test_import_contracts_have_no_exemptions() -> None:
    assert set(LINTER) == {"root_packages", "include_external_packages", "contracts"}
    assert [contract["type"] for contract in LINTER["contracts"]] == [
        "layers",
        "acyclic_siblings",
        "forbidden",
        "forbidden",
    ]
    exemptions = {"ignore_imports", "allow_indirect_imports", "skip_descendants", "as_packages"}
    for contract in LINTER["contracts"]:
        assert not exemptions & set(contract), contract["name"]


def test_every_folder_is_a_layer() -> None:
    layers = LINTER["contracts"][0]
    assert layers["exhaustive"]
    assert layers["layers"] == ["gen", "benchmarks", "fpga", "cosim", "rtl", "golden"]
    links = {path.name for path in (ROOT / "src" / "spikequant").iterdir() if path.is_symlink()}
    assert links == set(layers["layers"])


@pytest.mark.parametrize("page", ["CONTRIBUTING.md", "SECURITY.md"])
def test_paths_in_papers_exist(page: str) -> None:
    quoted = re.findall(r"`([\w./-]+)`", (ROOT / page).read_text(encoding="utf-8"))
    paths = [text for text in quoted if "/" in text]
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_hooks_run_what_make_lint_runs() -> None:
    recipe = re.search(r"^lint:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    commands = [line.strip().replace("$(VENV)", ".venv").removesuffix(" .") for line in recipe[1].splitlines()]
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"][0]["hooks"]
    assert [hook["entry"] for hook in hooks] == commands


def test_citation_names_the_version() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == PROJECT["project"]["version"]
    assert citation["license"] == PROJECT["project"]["license"]


def test_every_place_names_the_same_harness() -> None:
    (wanted,) = PROJECT["project"]["optional-dependencies"]["zero-shot"]
    for place in ("Makefile", "gen/commands/zero_shot.py", "docs/how-to/own-model.md"):
        assert re.findall(r"lm-eval==[\d.]+", (ROOT / place).read_text(encoding="utf-8")) == [wanted], place
