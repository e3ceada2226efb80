"""The life of our processes: work says that it goes on, stacks are shown when asked for, a child ends with its parent."""

from __future__ import annotations

import ctypes
import faulthandler
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHOW_STACKS = signal.SIGUSR1
_PR_SET_PDEATHSIG = 1  # of Linux's prctl
_listeners: list[Callable[[], None]] = []


def beat() -> None:
    """Say that work goes on; called from every loop that can take minutes. Costs nothing where nobody listens."""
    for listener in _listeners:
        listener()


@contextmanager
def heard_by(listener: Callable[[], None]) -> Iterator[None]:
    """Let a listener hear every beat of this process within the block."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)


def show_stacks_when_told() -> None:
    """Write the stacks of all threads to standard error at each SHOW_STACKS, even while none of them runs Python."""
    faulthandler.register(SHOW_STACKS, all_threads=True)


def end_with_parent(parent: int) -> None:
    """Have the kernel end this process when its parent ends, however it ends, and whatever this one is doing then.

    Args:
        parent: its process id, so that one that is gone already is noticed.
    """
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(1)
