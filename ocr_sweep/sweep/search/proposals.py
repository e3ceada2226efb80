"""A proposal, as a function of the study, the trial's number and what it saw: no clock, no database, no worker decides it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import PartialFixedSampler
from optuna.trial import FrozenTrial, Trial

from ocr_sweep.config.space import is_active
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.search.grid import Grid
from ocr_sweep.sweep.search.memory import memory_study
from ocr_sweep.sweep.search.samplers import distribution, in_sight, make_sampler
from ocr_sweep.sweep.search.shares import arm_to_serve

CONTRADICTION = "ocr_sweep.contradiction"  # user attribute of a proposal that contradicted itself, and never ran
_FOR_OTHERS = ":relative_params"  # what samplers write for their kind in other processes: the parameters once more


@dataclass(frozen=True)
class Seen:
    """What a proposal may know.

    Attributes:
        trials: the comparable ones that had begun, lowest number first: those that had ended with their results.
        notes: what the sampler has noted of the study with earlier proposals (NSGA-II's parents, Sobol's place).
        budget: trials that the study should have in all.
        out: arms that get no more, because they fail again and again.
    """

    trials: Sequence[FrozenTrial]
    notes: Mapping[str, Any]
    budget: int
    out: Sequence[Any] = ()


@dataclass(frozen=True)
class Proposal:
    """A point to try."""

    params: dict[str, Any]
    distributions: dict[str, BaseDistribution]
    notes: dict[str, Any]  # what the sampler noted anew of the study
    marks: dict[str, Any]  # and of the trial (NSGA-II's generation)


class Proposer:
    """Proposes the points of one study."""

    def __init__(self, study: StudyConfig) -> None:
        self._study = study
        self._first_points = study.first_points()
        self._distributions = {path: distribution(space) for path, space in study.search.items()}

    @cached_property
    def _grid(self) -> Grid:
        return Grid(self._study)

    def grid_left(self, tried: int) -> int | None:
        """How many points of the grid are left after so many; None: the study is no grid."""
        return max(0, len(self._grid) - tried) if self._study.sampler.kind == "grid" else None

    def propose(self, number: int, seen: Seen, wanted: Mapping[str, Any] | None = None) -> Proposal | None:
        """The point for a trial; None where a grid has been tried in full.

        Args:
            wanted: values that are known already.
        """
        fixed = wanted if wanted is not None else self._wanted(seen)
        if self._study.sampler.kind == "grid":
            point = self._grid.next(fixed, [trial.params for trial in seen.trials])
            if point is None:
                return None
            fixed = point
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self._ask(number, seen, fixed)

    def _wanted(self, seen: Seen) -> Mapping[str, Any]:
        """The first of the first points that nobody tried; after them, an arm that falls behind."""
        for point in self._first_points:
            if not any(point.items() <= trial.params.items() for trial in seen.trials):
                return point
        path, labels = self._study.shared
        started: dict[Any, int] = {}
        for trial in seen.trials if labels else ():
            if counts(trial):
                started[trial.params[path]] = started.get(trial.params[path], 0) + 1
        arm = arm_to_serve([label for label in labels if label not in seen.out], started, seen.budget)
        return {} if arm is None else {path: arm}

    def _ask(self, number: int, seen: Seen, fixed: Mapping[str, Any]) -> Proposal:
        shown = in_sight(self._study.sampler, seen.trials)
        objectives = 1 if self._study.against is None else 2
        study, storage = memory_study(self._study.name, shown, length=number, objectives=objectives, attrs=seen.notes)
        sampler = make_sampler(self._study.sampler, number)
        study.sampler = PartialFixedSampler(dict(fixed), sampler) if fixed else sampler
        trial = Trial(study, storage.create_new_trial(study._study_id))
        params = self._suggest(trial)
        asked = storage.get_trial(trial._trial_id)
        notes = {
            key: value for key, value in storage.get_study_system_attrs(study._study_id).items() if seen.notes.get(key) != value
        }
        marks = {key: value for key, value in asked.system_attrs.items() if _FOR_OTHERS not in key}
        return Proposal(params, asked.distributions, notes, marks)

    def _suggest(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for path in self._study.ordered_search():
            if is_active(self._study.search[path], params):
                params[path] = trial._suggest(path, self._distributions[path])
        return params


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial belongs to the budget: one that contradicted itself never ran."""
    return CONTRADICTION not in trial.user_attrs
