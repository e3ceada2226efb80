"""The guard of a trial: a process that ends it when its supervisor is gone and it does not end by itself.

A trial that works notices, writes its checkpoint and ends. One that hangs, in C or stopped by a signal, notices nothing, and
no thread of its own could be sure to run.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.connection import wait

from ocr_sweep.pulse import end_with_parent

_NOTICE = 5.0  # seconds in which a trial without a supervisor may write its checkpoint and end


def post_guard() -> int:
    """Leave a guard beside this process, which was started by the supervisor; returns the guard's process id."""
    trial, supervisor = os.getpid(), multiprocessing.parent_process()
    assert supervisor is not None, "only what a supervisor has started has a guard"
    if guard := os.fork():
        return guard
    try:
        end_with_parent(trial)
        _let_go_of_output()
        wait([supervisor.sentinel])
        time.sleep(_NOTICE)
        os.kill(trial, signal.SIGKILL)  # which ends this process, too, and the trial's other devices
    finally:
        os._exit(0)


def dismiss(guard: int) -> None:
    """End a guard whose trial is about to end."""
    os.kill(guard, signal.SIGKILL)
    os.waitpid(guard, 0)


def _let_go_of_output() -> None:
    """Whoever reads the supervisor's output does not wait for this process."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
