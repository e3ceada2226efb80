"""What a study tells while it runs; the command line draws it, tests read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.metrics import Interval
from ocr_sweep.sweep.trials.micro_batches import MicroBatches
from ocr_sweep.tracking.record import Outcome, RunRecord

Role = Literal["search", "confirm", "audit", "reproduce"]


@dataclass(frozen=True)
class Job:
    """One training to be done and recorded: a trial, or one more seed of it."""

    study: str
    trial: int
    role: Role
    suffix: str  # tells several runs of a trial apart: "" for the search, "seed2", "9f1c2ab0-1"
    config: TrialConfig
    params: dict[str, object] = field(default_factory=dict)  # what the sampler proposed
    reproduces: str = ""  # the run that is trained again
    arm: str = ""  # what it stands for in a comparison; "": its architecture
    parts: MicroBatches | None = None  # of its batches, where an earlier training had no memory for the configuration's

    @property
    def name(self) -> str:
        """The run's name: <study>-<trial, 4 digits>, and a suffix when the trial is trained again."""
        return f"{self.study}-{self.trial:04d}" + (f"-{self.suffix}" if self.suffix else "")

    @property
    def folder(self) -> str:
        """The name of its folder among the trials in progress."""
        return f"{self.trial:04d}-{self.role}" + (f"-{self.suffix}" if self.suffix else "")

    @property
    def key(self) -> str:
        """Finds the run in the tracking store, however often it is looked for."""
        return f"{self.study}/{self.folder}"


@dataclass(frozen=True)
class Result:
    """How a job ended."""

    job: Job
    run_id: str
    outcome: Outcome
    metrics: dict[str, float]
    reason: str


class Board(Protocol):
    """Hears the life of a study."""

    def opened(self, engine: str) -> None:
        """The study is this process's alone; so its trainings run."""

    def resumed(self, records: Sequence[RunRecord]) -> None:
        """These trainings the study had in former sessions, and no others."""

    def building(self, what: str, done: int, total: int) -> None:
        """The corpus is being built: so much of one kind of work is done."""

    def plan(self, *, total: int, slots: int) -> None:
        """So many trainings are to be done in all, so many at a time."""

    def started(self, job: Job, run_id: str, resumed: bool) -> None:
        """A job has begun."""

    def epoch(self, job: Job, epoch: int, metrics: dict[str, float]) -> None:
        """A job has finished an epoch (from 1)."""

    def ended(self, job: Job, outcome: str, metrics: dict[str, float], reason: str) -> None:
        """A job has ended and is recorded."""

    def judged(self, trial: int, interval: Interval, sentence: str) -> None:
        """The study has a winner: this trial, with the metric's mean over its fresh trainings."""

    def say(self, message: str) -> None:
        """A sentence for the reader."""


class SilentBoard:
    """A board that shows nothing."""

    def opened(self, engine: str) -> None:
        """Nothing."""

    def resumed(self, records: Sequence[RunRecord]) -> None:
        """Nothing."""

    def building(self, what: str, done: int, total: int) -> None:
        """Nothing."""

    def plan(self, *, total: int, slots: int) -> None:
        """Nothing."""

    def started(self, job: Job, run_id: str, resumed: bool) -> None:
        """Nothing."""

    def epoch(self, job: Job, epoch: int, metrics: dict[str, float]) -> None:
        """Nothing."""

    def ended(self, job: Job, outcome: str, metrics: dict[str, float], reason: str) -> None:
        """Nothing."""

    def judged(self, trial: int, interval: Interval, sentence: str) -> None:
        """Nothing."""

    def say(self, message: str) -> None:
        """Nothing."""
