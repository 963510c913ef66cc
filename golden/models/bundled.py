"""Data files of installed packages: the bundled model and the bundled texts."""

from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from spikequant.golden.support.errors import InputError


def bundled_file(package: str, pattern: str) -> Path:
    """A data file of an installed package, found without importing the package.

    Args:
        package: distribution name.
        pattern: glob on the path inside the distribution.

    Raises:
        InputError: the package is not installed, or has no such file.
    """
    try:
        files = distribution(package).files or []
    except PackageNotFoundError:
        raise InputError(f"package {package} is not installed, expected it to carry {pattern}") from None
    for file in files:
        if file.match(pattern):
            return Path(str(file.locate()))
    raise InputError(f"package {package} holds no {pattern}")
