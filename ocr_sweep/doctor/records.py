"""What the stores hold, as plain records: of Optuna its studies and trials, of MLflow its runs and versions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from ocr_sweep.doctor import words


@dataclass(frozen=True)
class Trial:
    """A trial in Optuna's database."""

    number: int
    state: str  # WAITING, RUNNING, COMPLETE, PRUNED or FAIL
    start: str  # date and time; empty: none
    end: str
    value: float | None
    finite: bool  # whether the database calls the value finite
    params: Mapping[str, Any]
    intermediate: Mapping[int, float]  # by step
    attributes: Mapping[str, Any]

    @property
    def finished(self) -> bool:
        """Whether it has been told how it ended."""
        return self.state in words.STATE.values()

    @property
    def ran(self) -> bool:
        """Whether it belongs to the budget: one that contradicted itself never ran."""
        return words.CONTRADICTION not in self.attributes and not self.fenced

    @property
    def fenced(self) -> bool:
        """Whether it is no part of the study any more, since that has grown."""
        return words.FENCED in self.attributes


@dataclass(frozen=True)
class Study:
    """A study in Optuna's database."""

    name: str
    directions: tuple[str, ...]
    attributes: Mapping[str, Any]
    trials: tuple[Trial, ...]

    @cached_property
    def identity(self) -> Mapping[str, Any]:
        """What the study asks, as it wrote it down; empty for one that is not ours."""
        found: Mapping[str, Any] = json.loads(self.attributes.get(words.IDENTITY, "{}"))
        return found


class Point(NamedTuple):
    """One value of a metric."""

    step: int
    value: float
    timestamp: int  # milliseconds since 1970


@dataclass(frozen=True)
class Run:
    """A run in the tracking store."""

    run_id: str
    name: str
    status: str  # RUNNING, FINISHED, FAILED or KILLED
    deleted: bool
    start: int  # milliseconds since 1970
    end: int | None
    artifacts: str  # where its files are
    tags: Mapping[str, str]
    params: Mapping[str, str]
    metrics: Mapping[str, tuple[Point, ...]] = field(default_factory=dict)  # every point of a curve; of others the last

    @property
    def study(self) -> str:
        """The study that it belongs to."""
        return self.tags.get(words.STUDY, "")

    @property
    def role(self) -> str:
        """search, confirm, reproduce or summary."""
        return self.tags.get(words.ROLE, "")

    @property
    def trial(self) -> int:
        """The number of its trial; -1: none."""
        number = self.tags.get(words.TRIAL, "")
        return int(number) if number.isdecimal() else -1

    @property
    def outcome(self) -> str:
        """complete, pruned, failed, stopped, or empty."""
        return self.tags.get(words.OUTCOME, "")

    @property
    def current(self) -> bool:
        """Whether it is the record of its training: not deleted, and not begun anew in another run."""
        return not self.deleted and words.SUPERSEDED not in self.tags

    @property
    def complete(self) -> bool:
        """Whether it ended with all its evidence."""
        return not self.deleted and self.status == "FINISHED" and self.outcome == "complete"

    @property
    def where(self) -> str:
        """How it is named to people."""
        return f"{self.name} (run {self.run_id})"

    def last(self, metric: str) -> float | None:
        """The last value of a metric."""
        points = self.metrics.get(metric)
        return max(points).value if points else None


@dataclass(frozen=True)
class Version:
    """A version of a registered model."""

    model: str
    number: int
    run_id: str
    stage: str
    tags: Mapping[str, str]


@dataclass(frozen=True)
class Tracking:
    """Everything of the tracking store that concerns us."""

    places: Mapping[str, str]  # of each experiment's artifacts, by its name
    runs: tuple[Run, ...]
    versions: tuple[Version, ...]
    aliases: Mapping[tuple[str, str], int]  # (model, alias) -> number of a version
    heads: Mapping[str, str] = field(default_factory=dict)  # where each model's history ends: number:sha256:run
