"""What a study said, line by line with its time, in a file that stays small and outlives the study's end."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.sweep.watching.plain_text import printable

_LIMIT = 1_000_000  # bytes; then a new file begins, and the one before the last goes


def log_file(paths: Paths, study: str) -> Path:
    """Where a study's sayings lie."""
    return paths.logs / f"{study}.log"


def former(file: Path) -> Path:
    """The older half of a log."""
    return file.with_name(f"{file.name}.1")


def append_line(file: Path, text: str) -> None:
    """Add a line.

    Raises:
        OSError: the disk refuses.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileNotFoundError):
        if file.stat().st_size > _LIMIT:
            file.replace(former(file))
    moment = time.strftime("%Y-%m-%d %H:%M:%S")
    with file.open("a", encoding="utf-8", errors="backslashreplace") as log:
        log.write(f"{moment} {printable(text, keep='')}\n")
