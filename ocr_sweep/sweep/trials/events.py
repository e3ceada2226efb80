"""What a trial writes down as it goes, one line for each epoch: a line that is not what was written is not believed."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from ocr_sweep.disk import store_errors, sync_directory

_MARK = ', "crc": "'  # the line before it is what is summed


@dataclass(frozen=True)
class Event:
    """One finished epoch, as the trial wrote it down."""

    epoch: int
    metrics: dict[str, float]
    timestamp: int  # milliseconds since 1970

    def line(self) -> str:
        """As JSON that ends with a checksum of all before it."""
        body = json.dumps(vars(self), allow_nan=False)[:-1]
        return f'{body}{_MARK}{crc32(body.encode()):08x}"}}'


class EventLog:
    """A file of events, added to by the trial alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp: tuple[int, int] | None = None  # of the file when it was last read
        self._read: tuple[list[Event], int] = [], 0

    def append(self, event: Event) -> None:
        """Write an event down; once this returns it survives a kill.

        Raises:
            StoreError: the disk refuses.
        """
        line, first = event.line(), not self._path.exists()
        with store_errors(f"writing {self._path}"):
            with self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
                file.flush()
                os.fsync(file.fileno())
            if first:
                sync_directory(self._path.parent)  # its name, too

    def events(self) -> list[Event]:
        """All whole events by epoch, the first that was written of each."""
        return self._looked()[0]

    def num_damaged(self) -> int:
        """Lines that were finished and are no events any more; the last one may be torn by a kill and is not finished then."""
        return self._looked()[1]

    def _looked(self) -> tuple[list[Event], int]:
        """What stands in the file; it is read when it has changed."""
        stamp = (state.st_size, state.st_mtime_ns) if (state := self._state()) else None
        if stamp is None or stamp != self._stamp:
            self._stamp, lines = stamp, self._lines()
            events: dict[int, Event] = {}
            for event in map(parsed, lines):
                if event is not None:
                    events.setdefault(event.epoch, event)
            damaged = sum(parsed(line) is None for line in lines if line.strip() and line.endswith("\n"))
            self._read = [events[epoch] for epoch in sorted(events)], damaged
        return self._read

    def _state(self) -> os.stat_result | None:
        return self._path.stat() if self._path.exists() else None

    def heal(self) -> None:
        """End the last line if only its end is missing; drop it if a kill has torn it."""
        lines = self._lines()
        if not lines or lines[-1].endswith("\n"):
            return
        whole = parsed(lines[-1]) is not None
        with store_errors(f"writing {self._path}"), self._path.open("r+b") as file:
            file.seek(0, os.SEEK_END)
            if whole:
                file.write(b"\n")
            else:
                file.truncate(self._path.read_bytes().rfind(b"\n") + 1)
            file.flush()
            os.fsync(file.fileno())

    def _lines(self) -> list[str]:
        """Each with its line end; the last one may have none."""
        if not self._path.exists():
            return []
        return self._path.read_bytes().decode("utf-8", errors="replace").splitlines(keepends=True)


def parsed(line: str) -> Event | None:
    """The event of a line; None where it is none. Lines of former versions have no checksum and are taken as they are."""
    body, mark, rest = line.rstrip("\n").rpartition(_MARK)
    if mark and rest != f'{crc32(body.encode()):08x}"}}':
        return None
    try:
        return Event(**json.loads(f"{body}}}" if mark else line))
    except (ValueError, TypeError):
        return None
