"""Signals to a command: heard at once, heeded where stopping is safe."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from ocr_sweep.errors import StoppedError
from ocr_sweep.sweep.stored.corpora import CorpusProgress

_PAUSE = 0.25  # seconds


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into wishes, which are asked for where stopping is safe.

    The first one stops after a checkpoint, a second SIGINT waits for nobody. Only a third interrupts wherever it comes:
    the way out of a call that hangs.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.impatient = False

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.number is None:
            self.number = number
        elif number == signal.SIGINT and not self.impatient:
            self.impatient = True
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    def raise_if_heard(self) -> None:
        """Stop here if a signal came.

        Raises:
            StoppedError: with the signal's number.
        """
        if self.number is not None:
            raise StoppedError(f"stopped by {signal.Signals(self.number).name}", self.number)

    def pause(self) -> None:
        """Wait a moment, unless a signal came.

        Raises:
            StoppedError: with the signal's number.
        """
        self.raise_if_heard()
        time.sleep(_PAUSE)

    def between(self, report: CorpusProgress) -> CorpusProgress:
        """A report of progress at which a signal stops the work: that of a corpus, and no trial's."""

        def reporting(what: str, done: int, total: int) -> None:
            try:
                self.raise_if_heard()
            except StoppedError as error:
                error.kept = f"it was {what}, and keeps what it had finished"
                raise
            report(what, done, total)

        return reporting

    @contextmanager
    def listening(self) -> Iterator[Signals]:
        """Listen within the block; the former handlers are put back."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        former = {number: signal.signal(number, self._hear) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)
