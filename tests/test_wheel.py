"""The wheel holds every module and data file once, and its commands work far from the repository."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from spikequant.golden.layer.random_layers import random_vectors
from spikequant.golden.layer.spec import load_spec
from spikequant.golden.layer.vectors import save_vectors
from support.boards import SMALLEST
from support.models import PROSE, save_tiny_llama

ROOT = Path(__file__).parents[1]
FOLDERS = ("golden", "rtl", "cosim", "fpga", "benchmarks", "gen")
SECONDS = 600


def run(*command: object, folder: Path, environment: dict[str, str] | None = None) -> str:
    """What a command prints; a failure shows it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def files_in(wheel: Path) -> list[str]:
    """Paths in a wheel, sorted, without its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return sorted(name for name in archive.namelist() if ".dist-info/" not in name)


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sources, so that no earlier build gets into the wheel and none is left in the repository."""
    folder = tmp_path_factory.mktemp("source")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    for name in (*FOLDERS, "src"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    return folder


@pytest.fixture(scope="module")
def wheel(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that is built from the tree."""
    out = tmp_path_factory.mktemp("wheel")
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", source, *offline, "--wheel-dir", out, folder=out)
    return next(out.glob("*.whl"))


@dataclass(frozen=True)
class Installed:
    """The wheel in an environment of its own, and a folder of a user whose own modules have our folders' names.

    Attributes:
        python: interpreter of the environment.
        folder: where commands run, also on PYTHONPATH.
        cache: of builds.
    """

    python: Path
    folder: Path
    cache: Path

    def run(self, command: str, *arguments: object) -> str:
        """Run a program of the environment in the user's folder."""
        # tools come from the environment of the tests, which holds the dependencies
        tools = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        environment = os.environ | {"PYTHONPATH": str(self.folder), "PATH": tools, "OMP_NUM_THREADS": "1"}
        return run(self.python.parent / command, *arguments, folder=self.folder, environment=environment)


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    root = tmp_path_factory.mktemp("user")
    venv.create(root / "venv", symlinks=True)
    python = root / "venv" / "bin" / "python"
    own = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=root).strip())
    # only the folder goes onto the path: .pth files in it, such as that of an editable install, are not read
    (own / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    pip = (sys.executable, "-m", "pip", "--python", python)
    run(*pip, "install", "--no-deps", "--no-index", "--no-compile", wheel, folder=root)
    folder = root / "work"
    for name in ("rtl/__init__.py", "gen/__init__.py", "golden.py"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("raise ImportError(__name__)\n", encoding="utf-8")
    return Installed(python, folder, root / "cache")


def test_wheel_holds_each_file_of_the_product_once(source: Path, wheel: Path) -> None:
    expected = [path for name in FOLDERS for path in (source / name).rglob("*") if path.is_file()]
    names = sorted(f"spikequant/{path.relative_to(source)}" for path in expected)
    assert {Path(name).suffix for name in names} >= {".py", ".v", ".cpp", ".json", ".toml", ".html"}
    assert files_in(wheel) == sorted([*names, "spikequant/__init__.py"])


def test_source_distribution_makes_the_same_wheel(source: Path, wheel: Path, tmp_path: Path) -> None:
    make = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    run(sys.executable, "-c", make, folder=source)
    archive = next(tmp_path.glob("*.tar.gz"))
    offline = ("--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", archive, *offline, "--wheel-dir", tmp_path, folder=tmp_path)
    assert files_in(next(tmp_path.glob("*.whl"))) == files_in(wheel)


def test_environment_imports_the_wheel(installed: Installed) -> None:
    found = installed.run("python", "-c", "import spikequant.gen.cli; print(spikequant.__file__)")
    assert Path(found.strip()).is_relative_to(installed.python.parents[1])


def test_generate(installed: Installed) -> None:
    installed.run("spikequant", "generate", "--config", "tiny", "--out", "generated")
    assert (installed.folder / "generated" / "spikequant.v").is_file()


def test_cosim_of_vectors(installed: Installed) -> None:
    vectors = random_vectors(load_spec("tiny"), outputs=16, inputs=40, tokens=3, seed=1)
    save_vectors(installed.folder / "in.npz", vectors)
    printed = installed.run("spikequant", "cosim", "--config", "tiny", "--vectors", "in.npz", "--out", "out.npz")
    assert "48 outputs, 0 mismatches" in printed
    assert (installed.folder / "out.npz").is_file()


def test_synth(installed: Installed) -> None:
    (installed.folder / "smallest.toml").write_text(SMALLEST, encoding="utf-8")
    options = ("--config", "smallest.toml", "--board", "ulx3s_25f", "--cache", installed.cache)
    installed.run("spikequant", "synth", *options, "--out", "built")
    assert list((installed.folder / "built").glob("*.bit"))


def test_quantize(installed: Installed) -> None:
    save_tiny_llama(installed.folder / "model")
    (installed.folder / "text.txt").write_text(PROSE, encoding="utf-8")
    options = ("--calibration", "text.txt", "--calibration-tokens", "400")
    installed.run("spikequant", "quantize", "model", "--out", "quantized", *options)
    assert (installed.folder / "quantized" / "spikequant.json").is_file()
