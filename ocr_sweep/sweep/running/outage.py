"""Stores that are away: trials go on, and what is to be recorded waits in their folders until it can be."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from ocr_sweep.errors import StoreError

Result = TypeVar("Result")

PATIENCE = 600.0  # seconds
_FIRST, _LONGEST = 1.0, 30.0  # seconds between two tries


class Stores:
    """The tracking store and the databases as one sees them who waits for them.

    Args:
        say: hears when they are away and when they are back; each time once.
        patience: seconds after which an outage is an error.
    """

    def __init__(
        self, say: Callable[[str], None], patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._say = say
        self._patience = patience
        self._clock = clock
        self._since: float | None = None
        self._pause = _FIRST
        self._next = 0.0

    @property
    def away(self) -> bool:
        """Whether the last try failed."""
        return self._since is not None

    def due(self) -> bool:
        """Whether to try now."""
        return self._since is None or self._clock() >= self._next

    @contextmanager
    def borne(self) -> Iterator[None]:
        """Bear a store that is away within the block. Whatever met it must be tried again in the next one.

        Raises:
            StoreError: it has been away for too long, or is not one that comes back by itself.
        """
        try:
            yield
        except StoreError as error:
            if not error.passing:
                raise
            self._fail(error)
        else:
            self._recover()

    def endured(self, work: Callable[[], Result], idle: Callable[[], None]) -> Result:
        """Do some work, again and again until the stores take it; `idle` waits a little between two looks at the clock.

        Raises:
            StoreError: see `borne`.
        """
        while True:
            if self.due():
                with self.borne():
                    return work()
            idle()

    def _fail(self, error: StoreError) -> None:
        now = self._clock()
        if self._since is None:
            self._since = now
            cause = str(error).partition(". What was recorded")[0]
            self._say(f"{cause}. Trials go on, and keep what they write; it is tried again for {self._patience / 60:g} minutes")
        elif now - self._since >= self._patience:
            raise error
        self._next, self._pause = now + self._pause, min(2 * self._pause, _LONGEST)

    def _recover(self) -> None:
        if self._since is not None:
            self._say(f"recording goes on after {self._clock() - self._since:.0f} s; nothing was lost")
        self._since, self._pause = None, _FIRST
