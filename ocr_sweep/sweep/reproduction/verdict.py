"""How a training and its repetition compare: to the last bit, within what seeds do, or neither."""

from __future__ import annotations

import math
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from ocr_sweep.errors import EvidenceError
from ocr_sweep.metrics.seeds import seed_noise
from ocr_sweep.sweep.reproduction.past import Losses, Past, losses_of
from ocr_sweep.sweep.trials.attempt import ONNX, PREDICTIONS, WEIGHTS
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

JUDGED = ("val/accuracy_macro", "val/accuracy", "test/accuracy")
NOTHING = "nothing that is recorded"


class Grade(StrEnum):
    """How two trainings of one configuration compare."""

    IDENTICAL = "identical"  # weights, predictions and the exported file are equal to the last bit
    WITHIN_BAND = "within band"  # every accuracy differs by no more than two seeds of one configuration do
    DIVERGED = "diverged"


@dataclass(frozen=True)
class Band:
    """How far two trainings may lie apart in each number that is judged, and why."""

    widths: dict[str, float]
    origin: str

    def holds(self, old: RunRecord, new: RunRecord) -> bool:
        """Whether every number of the two does."""
        return all(abs(old.metrics[name] - new.metrics[name]) <= width for name, width in self.widths.items())


@dataclass(frozen=True)
class Reproduction:
    """A run trained again."""

    grade: Grade
    old: RunRecord
    new: RunRecord
    differences: tuple[str, ...]  # what differs between the two, in words, the likeliest cause first
    step: int | None  # the first, from 1, whose losses differ; None: there is none, or it is not known
    num_steps: int  # whose losses were compared
    band: Band

    @property
    def factor(self) -> str:
        """The first differing factor."""
        return first_factor(self.differences)

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        if self.grade is Grade.IDENTICAL:
            steps = f"the losses of all {self.num_steps} steps, " if self.num_steps else ""
            return f"identical: {steps}weights, predictions and the exported file are equal to the last bit"
        where = f" at step {self.step} of {self.num_steps}" if self.step else ""
        if self.grade is Grade.DIVERGED:
            return f"diverged{where}; first differing factor: {self.factor}"
        return (
            f"within band: no accuracy differs by more than {self.band.origin} let expect"
            + (f"; the losses differ from step {self.step} of {self.num_steps} on" if self.step else "")
            + f"; first differing factor: {self.factor}"
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return {
            "grade": self.grade.value,
            "sentence": self.sentence,
            "old": self.old.run_id,
            "new": self.new.run_id,
            "first_differing_step": self.step,
            "steps_compared": self.num_steps,
            "first_differing_factor": self.factor if self.grade is not Grade.IDENTICAL else None,
            "differences": list(self.differences),
            "band": {"origin": self.band.origin, "widths": self.band.widths},
            "metrics": {name: [self.old.metrics.get(name), self.new.metrics.get(name)] for name in JUDGED},
        }


def first_factor(differences: Sequence[str]) -> str:
    """The likeliest cause of those that are known."""
    return differences[0] if differences else NOTHING


def judge(tracker: Tracker, past: Past, new: RunRecord, differences: Sequence[str]) -> Reproduction:
    """Compare a run with another complete one of its configuration.

    Raises:
        IntegrityError: an artifact of one of them is not what was recorded.
    """
    old, ours = past.record, past.losses
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        hashes = [tracker.manifest(record.run_id, Path(folder)) for record in (old, new)]
        theirs = losses_of(tracker, new.run_id, Path(folder))
    band = _band(tracker, old, new)
    if all(hashes[0].get(name) == hashes[1].get(name) for name in (WEIGHTS, ONNX, PREDICTIONS)):
        grade = Grade.IDENTICAL
    else:
        grade = Grade.WITHIN_BAND if band.holds(old, new) else Grade.DIVERGED
    step, compared = (None, 0) if ours is None or theirs is None else (first_difference(ours, theirs), len(ours))
    return Reproduction(grade, old, new, tuple(differences), step, compared, band)


def first_difference(old: Losses, new: Losses) -> int | None:
    """The first step, from 1, whose losses are not the same bits; a missing one differs."""
    both = min(len(old), len(new))
    differing = np.nonzero(old[:both].view(np.uint32) != new[:both].view(np.uint32))[0]
    if len(differing):
        return int(differing[0]) + 1
    return None if len(old) == len(new) else both + 1


def _band(tracker: Tracker, old: RunRecord, new: RunRecord) -> Band:
    """What two trainings of one configuration differ by at most, in 95 of 100 cases.

    From the spread over seeds, pooled over all configurations of the study that were trained with several. Where there is
    none, what the intervals of both allow, taken as independent.
    """
    arms: dict[int, list[RunRecord]] = defaultdict(list)
    for record in tracker.runs(old.study):
        if record.complete and record.role in ("search", "confirm"):
            arms[record.trial].append(record)
    widths: dict[str, float] = {}
    freedom = 0.0
    for name in JUDGED:
        noise = seed_noise([[record.metrics[name] for record in arm if name in record.metrics] for arm in arms.values()])
        freedom = noise.freedom
        if not freedom:
            break
        widths[name] = noise.between_two()
    if freedom:
        repeated = sum(len(arm) > 1 for arm in arms.values())
        trainings = sum(len(arm) for arm in arms.values() if len(arm) > 1)
        return Band(widths, f"{trainings} trainings of {repeated} configurations with several seeds")
    return Band({name: _by_intervals(name, old, new) for name in JUDGED}, "the intervals of both (nothing has several seeds)")


def _by_intervals(name: str, old: RunRecord, new: RunRecord) -> float:
    return math.hypot(*((record.metrics[f"{name}_high"] - record.metrics[f"{name}_low"]) / 2 for record in (old, new)))


def require_reproduced(reproduction: Reproduction) -> None:
    """Refuse a reproduction that diverged.

    Raises:
        EvidenceError: with the numbers and what differs.
    """
    if reproduction.grade is not Grade.DIVERGED:
        return
    old, new = reproduction.old.metrics, reproduction.new.metrics
    numbers = ", ".join(f"{name} {old[name]:.4f} -> {new[name]:.4f}" for name in JUDGED)
    named = "; ".join(reproduction.differences) or NOTHING
    raise EvidenceError(f"{reproduction.sentence}. {numbers}. All that differs: {named}")
