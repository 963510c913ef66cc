"""Record a chat in a terminal, and draw it as docs/images/chat.gif.

Run ``python docs/record.py CHECKPOINT`` with ``agg``, the GIF generator of asciinema, on the path. The recording
itself stays in build/chat.cast.
"""

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pexpect

ROOT = Path(__file__).resolve().parents[1]
PICTURE = ROOT / "docs" / "images" / "chat.gif"
RECORDING = ROOT / "build" / "chat.cast"

ROWS, COLUMNS = 14, 112
SPEED = 8
"""Ratio of the picture's speed to the recording's."""

OPTIONS = "--backend golden --memory AS4C32M16SB-7 --max-new-tokens 48"
PROMPTS = ("What is the capital of France?", "And of Italy?", "Write one sentence about rain.")
SECONDS = 900
KEY_SECONDS = 0.4


class Cast:
    """Output of a terminal with its times, as a file of asciinema's format 2."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines: list[str] = [json.dumps({"version": 2, "width": COLUMNS, "height": ROWS})]

    def write(self, text: str) -> None:
        """Append output that comes now."""
        self._lines.append(json.dumps([round(time.monotonic() - self._began, 3), "o", text]))

    def flush(self) -> None:
        """Keep the lines for ``save``."""

    def save(self, path: Path) -> None:
        """Write the file."""
        path.write_text("\n".join(self._lines) + "\n")


def record(checkpoint: Path) -> Cast:
    """Type the prompts, each when the reply to the one before is complete."""
    command = f"chat --checkpoint {shlex.quote(str(checkpoint))} {OPTIONS}"
    program = str(Path(sys.executable).with_name("spikequant"))
    cast = Cast()
    cast.write(f"$ spikequant {command.replace(str(checkpoint), 'build/smollm2')}\r\n")
    child = pexpect.spawn(
        program, shlex.split(command), dimensions=(ROWS, COLUMNS), encoding="utf-8", timeout=SECONDS, cwd=str(ROOT)
    )
    child.logfile_read = cast
    for prompt in PROMPTS:
        child.expect_exact("> ")
        for key in prompt:
            child.send(key)
            child.expect_exact(key)
            time.sleep(KEY_SECONDS)
        child.send("\r")
    child.expect_exact("> ")
    child.sendeof()
    child.expect(pexpect.EOF)
    return cast


def main() -> None:
    """Record and draw."""
    checkpoint = Path(sys.argv[1])
    RECORDING.parent.mkdir(exist_ok=True)
    record(checkpoint).save(RECORDING)
    font = ["--font-family", "DejaVu Sans Mono", "--font-size", 14]
    drawing = ["--speed", SPEED, "--fps-cap", 5, "--last-frame-duration", 5, *font]
    subprocess.run(["agg", *map(str, drawing), RECORDING, PICTURE], check=True)


if __name__ == "__main__":
    main()
