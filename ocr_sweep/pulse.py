"""Signs of life: work that takes long says so as it goes, and a process shows where it stands when it is told to."""

from __future__ import annotations

import faulthandler
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SHOW_STACKS = signal.SIGUSR1
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
