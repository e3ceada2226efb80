"""A training that has a run and a place: what the supervisor knows of it."""

from __future__ import annotations

from dataclasses import dataclass, field

from ocr_sweep.sweep.running.engine import Worker
from ocr_sweep.sweep.running.slots import Need, Place
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.trials.heartbeat import StallWatch
from ocr_sweep.sweep.watching.board import Job
from ocr_sweep.tracking.record import Outcome


class NoProcess:
    """The worker of a trial that needs none: not started yet, or it ended in a former session."""

    exit_code = 0
    out_of_memory = False
    lost_on = ""

    def show_stacks(self) -> None:
        """Nothing lives."""

    def kill(self) -> None:
        """Nothing lives."""


@dataclass(frozen=True)
class Ended:
    """How a training has ended, not recorded yet."""

    outcome: Outcome
    reason: str = ""


@dataclass
class Active:
    """A job whose run is RUNNING."""

    job: Job
    run_id: str
    attempt: Attempt
    need: Need
    place: Place
    worker: Worker = field(default_factory=NoProcess)
    watch: StallWatch | None = None  # of the process that lives
    homeless: bool = False  # whether it waits for a place that works before it starts again
    hung: bool = False  # whether that is why its process was ended
    shipped: set[int] = field(default_factory=set)  # epochs
    damaged: int = 0  # lines of its events, as far as it was said
    pruning: bool = False
    ended: Ended | None = None
