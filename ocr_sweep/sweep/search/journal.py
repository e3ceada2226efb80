"""The journal of a study: every trial with what it saw and how it ended. One process writes it, and reads it once.

Beside Optuna's own columns each trial has user attributes: `saw` (which results had been told since the proposal before it,
which trials were running, how many there should be), and what the sampler noted with it. From these every proposal can be
computed again.
"""

from __future__ import annotations

import copy
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from ocr_sweep.sweep.search.proposals import Proposal, Seen, counts

SAW = "ocr_sweep.saw"
NOTES = "ocr_sweep.notes"  # of the sampler, of the study
MARKS = "ocr_sweep.marks"  # of the sampler, of the trial
FENCED = "ocr_sweep.fenced"  # why a trial is not comparable with the study as it is now
RUNG = "completed_rung_"  # Hyperband's own system attributes


class Journal:
    """A study's trials in memory, written through to Optuna's database.

    A trial's identity here is its number, as in `memory_study`.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._storage = database(study)
        self._study_id = study._study_id
        self._ids: list[int] = []  # the database's
        self.trials: list[FrozenTrial] = []
        self.comparable: list[FrozenTrial] = []  # those that the study as it is now may learn from
        self.counted: list[FrozenTrial] = []  # of them those that belong to the budget
        self._untold: dict[int, FrozenTrial] = {}  # of them those whose result no proposal has seen
        self._notes: dict[str, Any] = {}
        self._told_to: dict[int, int] = {}  # trial -> the first proposal that saw its result
        self._distributions: dict[tuple[str, BaseDistribution], BaseDistribution] = {}  # each once: trials share them
        for frozen in self._storage.get_all_trials(self._study_id, deepcopy=False):
            self._take(frozen)

    def _take(self, frozen: FrozenTrial) -> FrozenTrial:
        assert frozen.number == len(self.trials), f"trial {frozen.number} of the database stands at {len(self.trials)}"
        self._ids.append(frozen._trial_id)
        trial = copy.copy(frozen)
        trial._trial_id = frozen.number
        trial.distributions = {
            path: self._distributions.setdefault((path, space), space) for path, space in frozen.distributions.items()
        }
        rungs = {key: value for key, value in frozen.system_attrs.items() if key.startswith(RUNG)}
        trial.system_attrs = {**rungs, **frozen.user_attrs.get(MARKS, {})}
        self.trials.append(trial)
        for told in frozen.user_attrs.get(SAW, {}).get("told", ()):
            self._told_to[told] = frozen.number
            self._untold.pop(told, None)
        if comparable(trial):
            self._notes |= frozen.user_attrs.get(NOTES, {})
            self.comparable.append(trial)
            self._untold[trial.number] = trial
            if counts(trial):
                self.counted.append(trial)
        return trial

    def fixed_params(self, number: int) -> dict[str, Any]:
        """What a former version of this program had put in its queue for a trial."""
        params: dict[str, Any] = self._storage.get_trial(self._ids[number]).system_attrs.get("fixed_params", {})
        return params

    def running(self) -> list[FrozenTrial]:
        """Those that have begun and not ended; of a session that ended before them, too."""
        return [trial for trial in self._untold.values() if not trial.state.is_finished()]

    def fenced(self) -> dict[int, str]:
        """The trials that the study as it is now may not learn from, and why."""
        return {trial.number: trial.user_attrs[FENCED] for trial in self.trials if not comparable(trial)}

    def seen(self, budget: int, *, out: Sequence[Any] = (), before: int | None = None) -> Seen:
        """What a proposal made now may know.

        Args:
            budget: trials that the study should have in all.
            out: arms that get no more.
            before: trials from this number on are not shown.
        """
        trials = self.comparable if before is None else self._before(before)
        return Seen([trial for trial in trials if trial.state != TrialState.WAITING], self._notes, budget, out)

    def seen_by(self, number: int) -> Seen | None:
        """What a past proposal knew; None where a former version of this program did not write it down."""
        saw = self.trials[number].user_attrs.get(SAW)
        if saw is None:
            return None
        trials, notes = list[FrozenTrial](), dict[str, Any]()
        for trial in self._before(number):
            notes |= trial.user_attrs.get(NOTES, {})
            trials.append(trial if self._told_to.get(trial.number, number + 1) <= number else _as_running(trial))
        return Seen(trials, notes, saw["budget"], saw.get("out", ()))

    def _before(self, number: int) -> list[FrozenTrial]:
        """The comparable trials of smaller numbers."""
        return self.comparable[: bisect_left(self.comparable, number, key=lambda trial: trial.number)]

    def add(
        self,
        proposal: Proposal,
        budget: int,
        attrs: Mapping[str, Any],
        *,
        out: Sequence[Any] = (),
        state: TrialState = TrialState.RUNNING,
    ) -> FrozenTrial:
        """Write a proposal down, all of it or nothing of it."""
        new = self._untold.values()
        told, running = [[trial.number for trial in new if trial.state.is_finished() == ended] for ended in (True, False)]
        saw = {"told": told, "running": running, "budget": budget, **({"out": list(out)} if out else {})}
        own: dict[str, Any] = {SAW: saw, **attrs}
        own |= {NOTES: proposal.notes} if proposal.notes else {}
        own |= {MARKS: proposal.marks} if proposal.marks else {}
        template = create_trial(
            state=state, params=proposal.params, distributions=proposal.distributions, user_attrs=own, system_attrs={}
        )
        trial_id = self._storage.create_new_trial(self._study_id, template_trial=template)
        template._trial_id, template.number = trial_id, len(self.trials)
        return self._take(template)

    def fill_in(self, number: int, proposal: Proposal) -> None:
        """Give a trial that a former version of this program had begun the parameters that it lacks."""
        trial, trial_id = self.trials[number], self._ids[number]
        if trial.state == TrialState.WAITING:
            self._storage.set_trial_state_values(trial_id, TrialState.RUNNING)
            trial.state = TrialState.RUNNING
        for path, value in proposal.params.items():
            if path not in trial.params:
                space = proposal.distributions[path]
                self._storage.set_trial_param(trial_id, path, space.to_internal_repr(value), space)
        trial.params, trial.distributions = proposal.params, proposal.distributions

    def report(self, number: int, step: int, value: float) -> None:
        """Write an intermediate value down."""
        self._storage.set_trial_intermediate_value(self._ids[number], step, value)
        self.trials[number].intermediate_values[step] = value

    def note(self, number: int, key: str, value: Any) -> None:
        """Write a user attribute down."""
        self._storage.set_trial_user_attr(self._ids[number], key, value)
        self.trials[number].set_user_attr(key, value)

    def note_rung(self, number: int, key: str, value: float) -> None:
        """Write down what a trial had reached on one of Hyperband's rungs."""
        self._storage.set_trial_system_attr(self._ids[number], key, value)
        self.trials[number].system_attrs[key] = value

    def tell(self, number: int, state: TrialState, values: list[float] | None = None) -> None:
        """Write down how a trial ended; the last thing that is written of it."""
        trial = self.trials[number]
        if state == TrialState.PRUNED and trial.last_step is not None:
            values = [trial.intermediate_values[trial.last_step]]  # as Optuna itself does
        self._storage.set_trial_state_values(self._ids[number], state, values)
        trial.state, trial.values = state, values


def comparable(trial: FrozenTrial) -> bool:
    """Whether a trial may be set beside those of the study as it is now."""
    return FENCED not in trial.user_attrs


def database(study: optuna.Study) -> RDBStorage:
    """The database itself: Optuna's cache in front of it would keep every trial a second time."""
    storage = getattr(study._storage, "_backend", study._storage)
    assert isinstance(storage, RDBStorage)
    return storage


def _as_running(trial: FrozenTrial) -> FrozenTrial:
    seen = copy.copy(trial)
    seen.state, seen.values = TrialState.RUNNING, None
    return seen
