"""What can be seen of a study that runs: plain data, which the terminal draws and one small file holds for everybody."""

from __future__ import annotations

import os
import socket
import time
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from ocr_sweep.config.paths import Paths
from ocr_sweep.sweep.running.processes import lives, start_of

_UNHEARD = 60.0  # seconds of silence after which nobody vouches for a study on another machine


class Condition(StrEnum):
    """How a study is."""

    RUNNING = "running"
    FINISHED = "finished"
    STOPPED = "stopped"  # by a signal, or before its end; goes on when it is run again
    FAILED = "failed"  # an error ended it
    DIED = "died"  # its supervisor is gone without a word
    SILENT = "silent"  # its supervisor is on another machine and has not been heard of for a while
    NEVER_RUN = "never run"


@dataclass
class JobState:
    """One training, as it is shown."""

    name: str  # its run's
    folder: str  # among the trials in progress
    role: str
    run_id: str
    epochs: int  # planned
    params: dict[str, str]  # where it differs from the base
    began: float  # seconds since 1970, in this session
    state: str = "running"  # or how it ended
    epoch: int = 0
    curve: list[float] = field(default_factory=list)  # the study's metric, epoch by epoch
    value: float | None = None  # of the metric
    low: float | None = None  # ends of its 95 % interval, once it is judged
    high: float | None = None
    seconds: float = 0.0  # that it took, once it has ended
    memory_mb: float | None = None  # of its processes, now
    peak_mb: float | None = None  # the most that was seen

    @property
    def remaining(self) -> float:
        """The share of its epochs that is still to do."""
        return 1.0 - min(1.0, self.epoch / self.epochs)


@dataclass
class StudyState:
    """One session of a study."""

    study: str
    metric: str
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)  # of the supervisor
    pid_start: str = field(default_factory=lambda: start_of(os.getpid()))
    since: float = field(default_factory=time.time)  # seconds since 1970
    heard: float = 0.0  # when the supervisor last said so
    simulated: bool = False
    engine: str = ""
    slots: int = 0
    total: int = 0  # trainings, of all sessions
    ended: dict[str, int] = field(default_factory=dict)  # likewise, by how they ended
    building: dict[str, tuple[int, int]] = field(default_factory=dict)  # kind of work -> done, of so many
    running: list[JobState] = field(default_factory=list)
    recent: list[JobState] = field(default_factory=list)  # the last that ended, in order
    best: JobState | None = None
    spent_seconds: float = 0.0  # by the trainings that ended in this session
    num_spent: int = 0  # of them
    machine_mb: tuple[float, float] | None = None  # memory in use, and in all
    said: list[str] = field(default_factory=list)  # the last sentences
    end: Condition | None = None  # None while it lives
    sentence: str = ""  # the verdict, or why it ended

    @property
    def done(self) -> int:
        """Trainings that have ended."""
        return sum(self.ended.values())

    @property
    def is_here(self) -> bool:
        """Whether its supervisor was started on this machine."""
        return self.host == socket.gethostname()

    def is_alive(self, now: float) -> bool:
        """Whether more is to be expected of it."""
        return self.condition(now) in (Condition.RUNNING, Condition.SILENT)

    def condition(self, now: float) -> Condition:
        """How it is, seen from this machine."""
        if self.end is not None:
            return self.end
        if not self.is_here:
            return Condition.RUNNING if now - self.heard < _UNHEARD else Condition.SILENT
        return Condition.RUNNING if lives(self.pid, self.pid_start) else Condition.DIED

    def seconds_left(self, now: float) -> float | None:
        """What the rest will take, if it goes as before; None before anything is known."""
        each = self._seconds_each(now)
        if each is None or not self.slots or self.end is not None:
            return None
        waiting = max(0, self.total - self.done - len(self.running))
        return each * (waiting + sum(job.remaining for job in self.running)) / self.slots

    def _seconds_each(self, now: float) -> float | None:
        if self.num_spent:
            return self.spent_seconds / self.num_spent
        shares = [1.0 - job.remaining for job in self.running if job.epoch]
        seconds = sum(now - job.began for job in self.running if job.epoch)
        return seconds / sum(shares) if shares else None


_ADAPTER = TypeAdapter(StudyState)


def state_file(paths: Paths, study: str) -> Path:
    """Where a study's state lies; not with its trials in progress, which go at its end, when a watcher wants to see it."""
    return paths.logs / f"{study}.json"


def encoded(state: StudyState) -> bytes:
    """The state as it lies in its file."""
    return _ADAPTER.dump_json(state)


def write_state(file: Path, content: bytes) -> None:
    """Replace the file: who reads it, and whatever is killed, meets the old state or the new one.

    Raises:
        OSError: the disk refuses; the old state stays.
    """
    aside = file.with_name(f".{file.name}.tmp")  # one name: what a kill leaves is overwritten
    file.parent.mkdir(parents=True, exist_ok=True)
    aside.write_bytes(content)
    aside.replace(file)


def read_state(file: Path) -> StudyState | None:
    """The last state of a study; None where there is none that can be read."""
    state = _read(file)
    gone = state is not None and state.condition(time.time()) is Condition.DIED
    return _read(file) if gone else state  # once more: its last act may have been to write how it ended


def _read(file: Path) -> StudyState | None:
    try:
        return _ADAPTER.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return None
