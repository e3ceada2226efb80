"""What a study's pictures are drawn from: its trials as points of the search space, each with what came of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import optuna
from optuna.trial import TrialState

from ocr_sweep.config.space import CategoricalRange, FloatRange, IntRange
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.search.journal import comparable
from ocr_sweep.sweep.search.storage import RUN_ID
from ocr_sweep.tracking.record import RunRecord

_STATES = {TrialState.COMPLETE: "complete", TrialState.PRUNED: "pruned", TrialState.FAIL: "failed"}
_LONGEST = 18  # characters of a label


@dataclass(frozen=True)
class Point:
    """One trial of the search."""

    trial: int
    state: str  # complete, pruned or failed
    params: Mapping[str, object]  # search path -> proposed value, or a choice's label
    value: float | None  # of the study's metric; of a pruned trial, where it was given up
    low: float | None = None  # ends of its 95 % interval
    high: float | None = None


@dataclass(frozen=True)
class Dimension:
    """One searched value."""

    path: str
    name: str  # as it is shown
    choices: tuple[str, ...]  # of a categorical one, as they are shown; () for numbers
    log: bool = False

    def place(self, point: Point) -> float | None:
        """Where a trial lies on it; None where it does not have it."""
        value = point.params.get(self.path)
        if value is None:
            return None
        if self.choices:
            label = shortened(str(value))
            return float(self.choices.index(label)) if label in self.choices else None
        return float(value) if isinstance(value, int | float) else None


@dataclass(frozen=True)
class Trials:
    """A study's search, ready to be drawn."""

    study: str
    metric: str
    simulated: bool
    points: tuple[Point, ...]
    dimensions: tuple[Dimension, ...]

    @property
    def complete(self) -> list[Point]:
        """Trials that ended with a result."""
        return [point for point in self.points if point.state == "complete" and point.value is not None]

    @property
    def axis(self) -> str:
        """The metric with its unit."""
        return f"{self.metric}, %{' (simulated)' if self.simulated else ''}"


def gather(study: StudyConfig, optuna_study: optuna.Study, records: Sequence[RunRecord]) -> Trials:
    """Put together what Optuna knows of a study's trials and what their runs recorded."""
    by_id = {record.run_id: record for record in records}
    frozen = optuna_study.get_trials(deepcopy=False, states=tuple(_STATES))
    points = tuple(_point(trial, study.metric, by_id) for trial in frozen if RUN_ID in trial.user_attrs and comparable(trial))
    simulated = any(record.simulated for record in records)
    return Trials(study.name, study.metric, simulated, points, _dimensions(study, points))


def _point(trial: optuna.trial.FrozenTrial, metric: str, by_id: Mapping[str, RunRecord]) -> Point:
    record = by_id.get(trial.user_attrs[RUN_ID])
    numbers = {} if record is None else record.metrics
    value = trial.values[0] if trial.values else None
    if trial.state is TrialState.PRUNED:
        value = trial.intermediate_values[max(trial.intermediate_values)] if trial.intermediate_values else None
    whole = trial.state is TrialState.COMPLETE
    low, high = (numbers.get(f"{metric}_{end}") if whole else None for end in ("low", "high"))
    return Point(trial.number, _STATES[trial.state], trial.params, value, low, high)


def _dimensions(study: StudyConfig, points: Sequence[Point]) -> tuple[Dimension, ...]:
    names = short_names(list(study.search))
    found = []
    for path in study.ordered_search():
        match study.search[path]:
            case CategoricalRange(labels=labels):
                tried = [point.params[path] for point in points if path in point.params]  # some may no longer be asked for
                choices = tuple(dict.fromkeys(shortened(str(label)) for label in [*labels, *tried]))
                found.append(Dimension(path, names[path], choices))
            case FloatRange(log=log) | IntRange(log=log):
                found.append(Dimension(path, names[path], (), log))
    return tuple(found)


def short_names(paths: Sequence[str]) -> dict[str, str]:
    """Each search path as people may read it: without its first block where that leaves it unlike every other."""
    short = {path: path.split(".", 1)[-1] for path in paths}
    known = list(short.values())
    return {path: (name if known.count(name) == 1 else path).replace("_", " ").replace(".", " ") for path, name in short.items()}


def shortened(text: str) -> str:
    """A label that leaves room for others."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
