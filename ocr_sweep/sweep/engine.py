"""Where trials run: processes of this machine, forked from one server that has imported everything once."""

from __future__ import annotations

import multiprocessing
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from typing import Protocol

from ocr_sweep.sweep.attempt import Attempt

_PRELOAD = "ocr_sweep.sweep.trial"
_PRELOAD_TIMM = "ocr_sweep.models.timm_import"


class Worker(Protocol):
    """A trial that an engine started."""

    @property
    def exit_code(self) -> int | None:
        """None while it lives; minus a signal's number when a signal ended it."""

    def kill(self) -> None:
        """End it at once."""


class Engine(Protocol):
    """Starts trials and says when one has ended; everything else passes through the attempt's folder."""

    def start(self, attempt: Attempt) -> Worker:
        """Start the trial of a prepared folder."""

    def wait(self, workers: list[Worker], seconds: float) -> None:
        """Return when a worker has ended, or after so many seconds."""

    def close(self) -> None:
        """Let go of what the engine holds."""


@dataclass(frozen=True)
class _Process:
    process: ForkServerProcess

    @property
    def exit_code(self) -> int | None:
        return self.process.exitcode

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


class LocalEngine:
    """Trials as processes of this machine.

    A trial pays no imports: a server process has torch loaded, and forks. CUDA is never touched in the server.
    """

    def __init__(self, *, timm: bool) -> None:
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload(["__main__", _PRELOAD, *([_PRELOAD_TIMM] if timm else [])])

    def warm_up(self) -> None:
        """Begin the imports now, beside whatever the caller does next."""
        from multiprocessing import forkserver

        forkserver.ensure_running()

    def start(self, attempt: Attempt) -> Worker:
        """Fork a process for the trial."""
        process = self._context.Process(target=_run, args=(str(attempt.folder),), name=f"trial {attempt.folder.name}")
        process.start()
        return _Process(process)

    def wait(self, workers: list[Worker], seconds: float) -> None:
        """Sleep until a process ends, at most `seconds`."""
        wait([worker.process.sentinel for worker in workers if isinstance(worker, _Process)], timeout=seconds)

    def close(self) -> None:
        """Nothing is held: the server ends with this process."""


def _run(folder: str) -> None:
    from ocr_sweep.sweep.trial import run_attempt

    run_attempt(folder)
