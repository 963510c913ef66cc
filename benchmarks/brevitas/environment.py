"""A virtual environment for Brevitas, apart from ours: it needs older packages."""

import subprocess
import sys
from pathlib import Path

from spikequant.golden.support.errors import InputError, SpikeQuantError
from spikequant.golden.support.files import writable_folder, write_text

VERSION = "0.13.4"

REQUIREMENTS = ("torch==2.13.0", "transformers==5.23.0", f"brevitas[llm]=={VERSION}")
"""Brevitas with what its flow for language models imports, and the versions of ours that compute the float model."""

INSTALLED = "installed.txt"
"""File with the requirements of a finished environment."""


def environment_python(folder: Path) -> Path:
    """The interpreter of the environment, which is made where it is missing; that takes minutes and gigabytes.

    Args:
        folder: of the environment.

    Raises:
        InputError: the folder cannot be written, or holds something else.
        SpikeQuantError: the packages cannot be installed.
    """
    python, installed = folder / "bin" / "python", folder / INSTALLED
    wanted = "\n".join(REQUIREMENTS) + "\n"
    if installed.is_file() and installed.read_text(encoding="utf-8") == wanted:
        return python
    if folder.is_dir() and any(folder.iterdir()) and not (folder / "pyvenv.cfg").is_file():
        raise InputError(f"{folder}: holds other files, expected an empty folder or a virtual environment")
    writable_folder(folder)
    _run([sys.executable, "-m", "venv", str(folder)], folder)
    _run([str(python), "-m", "pip", "--disable-pip-version-check", "--quiet", "install", *REQUIREMENTS], folder)
    write_text(installed, wanted)
    return python


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise SpikeQuantError(f"{folder}: cannot make the environment for Brevitas: {last}")
