"""The one console, and small things that every command prints."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

if TYPE_CHECKING:
    from ocr_sweep.sweep.stored.corpora import CorpusProgress

_WIDE = 150  # columns where nobody looks through a terminal

console = Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


@contextmanager
def corpus_progress() -> Iterator[CorpusProgress]:
    """A progress bar for what a corpus build reports; it shows only when there is something to do."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        tasks: dict[str, TaskID] = {}

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)

        yield report


def percent(value: float | None, digits: int = 1) -> str:
    """A share as a percentage; a dash when there is none."""
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def simulated_mark(simulated: bool) -> str:
    """The word that stands beside every number measured on simulated scans."""
    return " (simulated)" if simulated else ""
