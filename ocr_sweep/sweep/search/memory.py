"""Optuna studies in memory that hold chosen trials under their own numbers: what a sampler or a pruner is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.samplers import RandomSampler
from optuna.storages import InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

DIRECTIONS = (StudyDirection.MAXIMIZE, StudyDirection.MINIMIZE)  # of the metric, and of the cost if there is one
_NOTHING = FrozenTrial(
    number=-1,
    trial_id=-1,
    state=TrialState.WAITING,  # the one state that neither samplers nor pruners look at
    value=None,
    datetime_start=None,
    datetime_complete=None,
    params={},
    distributions={},
    user_attrs={},
    system_attrs={},
    intermediate_values={},
)


def memory_study(
    name: str, trials: Sequence[FrozenTrial], *, length: int, objectives: int, attrs: Mapping[str, Any] | None = None
) -> tuple[optuna.Study, InMemoryStorage]:
    """A study of `length` trials, of which only the given ones can be seen; a trial's identity is its number.

    The trials are shared, not copied: a study is made for every proposal, and may have ten thousand of them.

    Args:
        name: decides Hyperband's brackets.
        objectives: 1, or 2 with a cost to be minimised.
        attrs: what a sampler has noted of the study.
    """
    storage = InMemoryStorage()
    study = optuna.create_study(
        storage=storage, study_name=name, directions=DIRECTIONS[:objectives], sampler=RandomSampler(seed=0)
    )
    inside = storage._studies[study._study_id]
    inside.trials = [_NOTHING] * length
    for trial in trials:
        assert trial._trial_id == trial.number < length
        inside.trials[trial.number] = trial
        storage._trial_id_to_study_id_and_number[trial.number] = (study._study_id, trial.number)
    storage._max_trial_id = length - 1
    inside.system_attrs = dict(attrs or {})
    complete = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    if complete and objectives == 1:
        inside.best_trial_id = max(complete, key=lambda trial: (trial.values[0], -trial.number)).number
    return study, storage
