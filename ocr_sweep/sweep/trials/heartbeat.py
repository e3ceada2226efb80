"""Telling work from a hang: a trial counts its steps in a file, and the supervisor sees whether the count moves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

_APART = 1.0  # seconds between two writes, at least
_LOOKS = 10  # that a hang needs at least: who did not look, because the machine or he himself slept, has seen no hang


class Heartbeat:
    """Counts the beats of this process; a file has the count, a second old at most while beats come."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._clock = clock
        self._count = 0
        self._written = float("-inf")

    def beat(self) -> None:
        """Count one; the file is written rarely enough to cost nothing."""
        self._count += 1
        now = self._clock()
        if now - self._written >= _APART:
            self._written = now
            with suppress(OSError):  # a full disk is not this file's to report
                os.pwrite(self._handle, b"%20d\n" % self._count, 0)


class StallWatch:
    """Watches the count of one process, by the observer's own clock and only while it looks.

    Args:
        seconds: so long without a beat is a hang.
    """

    def __init__(self, path: Path, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.seconds = seconds
        self._path = path
        self._clock = clock
        self._looked = clock()
        self._seen = self._count()
        self._quiet = 0.0

    def stalled(self) -> bool:
        """Look, and say whether it has been quiet for too long."""
        now, count = self._clock(), self._count()
        self._quiet = self._quiet + min(now - self._looked, self.seconds / _LOOKS) if count == self._seen else 0.0
        self._looked, self._seen = now, count
        return self._quiet >= self.seconds

    def _count(self) -> bytes:
        with suppress(OSError):
            return self._path.read_bytes()
        return b""
