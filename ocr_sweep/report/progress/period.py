"""The time that a report speaks of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from ocr_sweep.errors import NotFoundError

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}


@dataclass(frozen=True)
class Period:
    """From a moment to another, both with their time zone."""

    since: datetime
    until: datetime

    @classmethod
    def parse(cls, text: str, now: datetime | None = None) -> Period:
        """`2w`, `10d`, `36h` before now, or a day like 2026-11-01, from its midnight in UTC.

        Raises:
            NotFoundError: it is none of these, or lies ahead.
        """
        until = now or datetime.now(UTC)
        if found := re.fullmatch(r"([1-9]\d{0,4})([hdw])", text.strip()):
            return cls(until - int(found[1]) * _UNITS[found[2]], until)
        try:
            day = date.fromisoformat(text.strip())
        except ValueError:
            raise NotFoundError(
                f"the report's begin must be a number of weeks, days or hours, or a day, but got '{text}'; "
                "write for example 2w, 10d or 2026-11-01"
            ) from None
        since = datetime(day.year, day.month, day.day, tzinfo=UTC)
        if since > until:
            raise NotFoundError(f"the report's begin must lie behind us, but {text} is ahead of {until:%Y-%m-%d}")
        return cls(since, until)

    def holds(self, moment: datetime | None) -> bool:
        """Whether a moment lies in it."""
        return moment is not None and self.since <= moment <= self.until

    def __str__(self) -> str:
        return f"{self.since:%Y-%m-%d} to {self.until:%Y-%m-%d}"
