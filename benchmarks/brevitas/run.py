"""Settings of Brevitas, measured on our windows."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from math import exp
from pathlib import Path
from typing import Any

from spikequant.benchmarks.brevitas.environment import REQUIREMENTS, VERSION
from spikequant.benchmarks.brevitas.settings import BITS, FORMAT, SETTINGS
from spikequant.golden.checkpoint.export import export_floats
from spikequant.golden.comparison.evaluation_text import EvaluationText
from spikequant.golden.comparison.external import ExternalRow
from spikequant.golden.comparison.widths import plain_widths
from spikequant.golden.models.model import LanguageModel
from spikequant.golden.models.prefix import prefix_tokens
from spikequant.golden.models.windows import TextWindows
from spikequant.golden.support.digest import digest_model, digest_windows
from spikequant.golden.support.errors import InputError, SpikeQuantError
from spikequant.golden.support.figures import Figures
from spikequant.golden.support.json_files import read_json
from spikequant.golden.support.store import ResultFolder, digest_of

METHOD = "brevitas"

SOURCE = f"Brevitas {VERSION}, its own flow for language models, with our tokens"

WORKER = Path(__file__).with_name("worker.py")


class TextScore(Figures):
    """What the worker returns for one text: sums over the scored tokens, in nats, and median tokens per second."""

    loss: float
    float_loss: float
    divergence: float
    agreed: float
    tokens: float
    speed: float
    float_speed: float


class SettingScore(Figures):
    """What the worker returns for one setting.

    Attributes:
        seconds: wall time of the quantization.
        texts: scores by the names of the texts.
    """

    seconds: float
    texts: dict[str, TextScore]


def check_settings(names: Sequence[str]) -> None:
    """Check the names of settings.

    Raises:
        InputError: one is unknown, or there are none.
    """
    for name in names or [""]:
        if name not in SETTINGS:
            raise InputError(f"setting {name!r}: unknown, expected one of {', '.join(SETTINGS)}")


def measure_settings(
    language_model: LanguageModel,
    names: Sequence[str],
    texts: Sequence[EvaluationText],
    *,
    calibration: TextWindows,
    python: Path,
    kept: ResultFolder[SettingScore],
) -> Iterator[list[ExternalRow]]:
    """Quantize a float model by settings of Brevitas, and score every text.

    Args:
        language_model: a float model; if it reads texts after a prefix, so does Brevitas's model.
        names: of settings.
        texts: to score.
        calibration: tokens to calibrate on.
        python: interpreter of Brevitas's environment.
        kept: scores of an earlier run, to which new ones are added.

    Yields:
        The rows of a setting, one for each text.

    Raises:
        InputError: unknown setting, or a model that cannot be exported.
        SpikeQuantError: Brevitas failed.
    """
    check_settings(names)
    windows = {text.name: text.read.windows for text in texts}
    basis = [
        *(digest_model(language_model.model), digest_windows(calibration.windows), *REQUIREMENTS, FORMAT),
        *(part for name, read in windows.items() for part in (name, digest_windows(read))),
    ]
    tokens = {
        "prefix": prefix_tokens(language_model.model),
        "calibration": [window.tolist() for window in calibration.windows],
        "texts": {name: [window.tolist() for window in read] for name, read in windows.items()},
    }
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model"
        export_floats(language_model, model)
        for name in names:
            digest = digest_of([*basis, SETTINGS[name]])
            score = kept.find(name, digest)
            if score is None:
                score = _run(python, Path(folder), name, tokens)
                kept.keep(name, digest, score)
            yield [_row(language_model, name, text, score, calibration) for text in texts]


def _run(python: Path, folder: Path, name: str, tokens: Mapping[str, Any]) -> SettingScore:
    job, result = folder / "job.json", folder / "result.json"
    values = {"model": str(folder / "model"), "options": f"{FORMAT} {SETTINGS[name]}".split(), **tokens}
    job.write_text(json.dumps(values), encoding="utf-8")
    # isolated: neither our packages nor the files next to the worker are found
    command: list[str | Path] = [python, "-I", WORKER, job, result]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        last = (done.stderr.strip() or "no message").splitlines()[-1]
        raise SpikeQuantError(f"setting {name}: Brevitas failed: {last}")
    return read_json(result, SettingScore, what="result of Brevitas")


def _row(
    language_model: LanguageModel, name: str, text: EvaluationText, score: SettingScore, calibration: TextWindows
) -> ExternalRow:
    found = score.texts[text.name]
    widths = plain_widths(language_model.model, BITS).model_dump()
    if "--rotation" in SETTINGS[name]:
        widths["bits_note"] = "some inputs rotated at run time"
    prefix = prefix_tokens(language_model.model)
    after = f"; prefix {list(prefix)}" if prefix else ""
    return ExternalRow(
        **widths,
        perplexity=exp(found.loss / found.tokens),
        tokens=round(found.tokens),
        salient_ratio=0,
        silent_ratio=0,
        clipped_tokens=0,
        tokens_per_second=found.speed,
        divergence=found.divergence / found.tokens,
        agreement=found.agreed / found.tokens,
        ratio=exp((found.loss - found.float_loss) / found.tokens),
        speed_ratio=found.speed / found.float_speed,
        label=f"{METHOD} ({name})",
        how=f"Brevitas {VERSION} {name} W{BITS}A{BITS}, calibrated on {calibration.protocol}{after}",
        text=text.name,
        windows=digest_windows(text.read.windows),
        float_perplexity=exp(found.float_loss / found.tokens),
        bits=BITS,
        seconds=score.seconds,
    )
