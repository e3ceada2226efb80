"""A study in the terminal where it runs: a live picture, or lines where nobody looks through a terminal."""

from __future__ import annotations

import signal
import time
from contextlib import suppress
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

from ocr_sweep.cli.console import simulated_mark
from ocr_sweep.cli.picture import picture, with_interval
from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import StoppedError
from ocr_sweep.sweep.watching.board import Job
from ocr_sweep.sweep.watching.plain_text import printable
from ocr_sweep.sweep.watching.recording_board import RecordingBoard
from ocr_sweep.sweep.watching.state import JobState, StudyState


class LiveBoard(RecordingBoard):
    """A board in the terminal; where there is no terminal, one line for each training that ends."""

    def __init__(self, console: Console, paths: Paths | None, *, study: str, metric: str) -> None:
        super().__init__(paths, study=study, metric=metric)
        self._console = console
        self._unread = False  # nobody reads what is printed any more
        self._live = Live(console=console, get_renderable=self._render, refresh_per_second=2, transient=True)

    def __enter__(self) -> Self:
        super().__enter__()
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._console.is_terminal:
            with suppress(OSError):  # the terminal is gone
                self._live.stop()
        super().__exit__(kind, error, trace)

    def ended(self, job: Job, outcome: str, metrics: dict[str, float], reason: str) -> None:
        """See `Board`."""
        super().ended(job, outcome, metrics, reason)
        if outcome not in ("complete", "pruned"):
            self.say(f"{job.name} {outcome}: {reason}")
        if not self._console.is_terminal:
            self._print(ended_line(self.state, self.state.recent[-1]))

    def say(self, message: str) -> None:
        """See `Board`."""
        super().say(message)
        self._print(printable(message))

    def _print(self, line: str) -> None:
        """Print a line, as long as somebody reads them.

        Raises:
            StoppedError: the reader has just left, as `head` does; the study stops as at a signal.
        """
        if self._unread:
            return
        try:
            self._console.print(line, markup=False)
        except (BrokenPipeError, SystemExit):  # the latter is how rich tells of the former
            self._unread = True
            raise StoppedError("stopped by SIGPIPE: nobody reads what it says any more", signal.SIGPIPE) from None
        except OSError:
            self._unread = True  # the terminal is gone, and SIGHUP on its way

    def _render(self) -> RenderableType:
        with self.lock:
            return picture(self.state, time.time())


def ended_line(state: StudyState, job: JobState) -> str:
    """How a training ended, where there is no table."""
    value = f"{state.metric}{simulated_mark(state.simulated)} {with_interval(job)}"
    return f"[{state.done}/{state.total}] {job.name} {job.state}  {value}  {job.seconds:.0f} s"
