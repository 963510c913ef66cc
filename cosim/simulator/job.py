"""What the simulator process is given and what it gives back, as files in one folder."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from spikequant.golden.layer.vectors import save_arrays
from spikequant.rtl.driver.device import Played
from spikequant.rtl.driver.packets import Words


def _joined(packets: list[Words]) -> dict[str, NDArray[np.generic]]:
    lengths = np.array([len(packet) for packet in packets], np.int64)
    return {"words": np.concatenate([*packets, np.zeros(0, np.uint32)]), "lengths": lengths}


def _parted(words: Words, lengths: NDArray[np.int64]) -> list[Words]:
    return np.split(words, np.cumsum(lengths)[:-1]) if len(lengths) else []


@dataclass(frozen=True)
class Job:
    """Packets to play.

    Attributes:
        packets: words of each packet.
        results: RESULT packets to wait for.
        stall_probability: share of cycles in which either stream pauses.
        seed: of the pauses.
    """

    packets: list[Words]
    results: int
    stall_probability: float = 0.0
    seed: int = 0

    @staticmethod
    def path(folder: Path) -> Path:
        """Where a job lies in its folder."""
        return folder / "job.npz"

    def save(self, folder: Path) -> None:
        """Write the job."""
        settings = np.array([self.results, self.stall_probability, self.seed], np.float64)
        save_arrays(self.path(folder), {**_joined(self.packets), "settings": settings})

    @classmethod
    def load(cls, folder: Path) -> "Job":
        """Read the job."""
        with np.load(cls.path(folder), allow_pickle=False) as arrays:
            results, stall_probability, seed = arrays["settings"]
            packets = _parted(arrays["words"], arrays["lengths"])
        return cls(packets=packets, results=int(results), stall_probability=float(stall_probability), seed=int(seed))


class Recording(Played):
    """What came back, as a file."""

    @staticmethod
    def path(folder: Path) -> Path:
        """Where a recording lies in its folder."""
        return folder / "recording.npz"

    def save(self, folder: Path) -> None:
        """Write the recording."""
        settings = np.array([self.cycles, self.seconds], np.float64)
        save_arrays(self.path(folder), {**_joined(self.packets), "settings": settings})

    @classmethod
    def load(cls, folder: Path) -> "Recording":
        """Read the recording."""
        with np.load(cls.path(folder), allow_pickle=False) as arrays:
            cycles, seconds = arrays["settings"]
            packets = _parted(arrays["words"], arrays["lengths"])
        return cls(packets=packets, cycles=int(cycles), seconds=float(seconds))


def write_progress(folder: Path, results: int) -> None:
    """Tell the parent process how many results are in."""
    (folder / "progress").write_text(str(results), encoding="ascii")


def read_progress(folder: Path) -> int:
    """Results in so far, as last told."""
    try:
        return int((folder / "progress").read_text(encoding="ascii") or 0)
    except (OSError, ValueError):
        return 0
