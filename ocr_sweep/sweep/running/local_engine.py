"""Trials as processes of this machine, forked from one server that has imported everything once."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from functools import cached_property
from multiprocessing.connection import wait
from multiprocessing.context import ForkContext, ForkProcess, ForkServerContext, ForkServerProcess
from pathlib import Path

from ocr_sweep.errors import ProcessDiedError
from ocr_sweep.pulse import SHOW_STACKS
from ocr_sweep.sweep.running.cgroup import out_of_memory_kills
from ocr_sweep.sweep.running.engine import Worker
from ocr_sweep.sweep.running.fork_server import fork_server
from ocr_sweep.sweep.running.machine import this_machine
from ocr_sweep.sweep.running.slots import Machine, Need, Place
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.trials.guard import dismiss, post_guard


class _Kills:
    """Tells which deaths were the kernel's, for want of memory: each that it counts explains one."""

    def __init__(self) -> None:
        self._explained = 0

    def claimed(self, since: int) -> bool:
        """Whether the kernel has killed once more than there are explained deaths.

        Args:
            since: how many it had counted when the process started.
        """
        self._explained = max(self._explained, since)
        if out_of_memory_kills() <= self._explained:
            return False
        self._explained += 1
        return True


class _Process:
    """A trial as a process of this machine."""

    lost_on = ""

    def __init__(self, process: ForkServerProcess | ForkProcess, kills: _Kills) -> None:
        self.process = process
        self._kills = kills
        self._since = out_of_memory_kills()

    @property
    def exit_code(self) -> int | None:
        return self.process.exitcode

    @cached_property
    def out_of_memory(self) -> bool:
        suspicious = self.exit_code in (-signal.SIGKILL, ProcessDiedError.exit_code)  # it, or one of its other devices
        return suspicious and self._kills.claimed(self._since)

    def show_stacks(self) -> None:
        for pid in _family(self.process.pid or 0):
            with suppress(ProcessLookupError):
                os.kill(pid, SHOW_STACKS)

    def kill(self) -> None:
        self.process.kill()
        self.process.join()


class LocalEngine:
    """Trials as processes of this machine.

    A trial pays no imports: a server process has torch loaded, and forks. CUDA is never touched in the server.
    """

    def __init__(self, *, timm: bool) -> None:
        self._context = self._forking(timm=timm)
        self._kills = _Kills()

    def _forking(self, *, timm: bool) -> ForkServerContext | ForkContext:
        return fork_server(timm=timm)

    def machines(self) -> Sequence[Machine]:
        """This machine, as it was when it was first asked for: before any trial took of it."""
        return self._machines

    @cached_property
    def _machines(self) -> tuple[Machine, ...]:
        return (this_machine(),)

    def start(self, attempt: Attempt, place: Place, need: Need) -> Worker:
        """Fork a process for the trial."""
        args = (str(attempt.folder), ",".join(place.gpus))
        process = self._context.Process(target=_run, args=args, name=f"trial {attempt.folder.name}")
        process.start()
        return _Process(process, self._kills)

    def wait(self, workers: list[Worker], seconds: float) -> None:
        """Sleep until a process ends, at most `seconds`."""
        wait([worker.process.sentinel for worker in workers if isinstance(worker, _Process)], timeout=seconds)

    def close(self) -> None:
        """Nothing is held: the server ends with this process."""


def _run(folder: str, gpus: str) -> None:
    """The life of a trial's process.

    Args:
        gpus: those that it may see, as CUDA_VISIBLE_DEVICES has them; "": there are none to choose from.
    """
    if gpus:
        if "CUDA_VISIBLE_DEVICES" not in os.environ:  # then they go by number, and it must be the machine's
            os.environ["CUDA_DEVICE_ORDER"] = "PCI_BUS_ID"
        os.environ["CUDA_VISIBLE_DEVICES"] = gpus  # CUDA reads it when it is first touched
    from ocr_sweep.sweep.trials.trial import run_attempt

    guard = post_guard()
    try:
        run_attempt(folder)
    finally:
        dismiss(guard)


def _family(pid: int) -> list[int]:
    """A process and all that descend from it."""
    family = [pid]
    for member in family:
        with suppress(OSError):
            for children in Path(f"/proc/{member}/task").glob("*/children"):
                family += [int(child) for child in children.read_text().split()]
    return family
