"""Growing a live study: what its trials are in the next version, and which of them are no part of it."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.search.identity import Meaning, express, why_not_comparable
from ocr_sweep.sweep.search.journal import FENCED, comparable, database
from ocr_sweep.sweep.search.proposals import counts
from ocr_sweep.sweep.search.pruners import PEERS, peers_of
from ocr_sweep.sweep.search.samplers import distribution
from ocr_sweep.sweep.search.versions import ORIGIN, Version, new_version, settle


def carried(versions: Sequence[Version], now: Meaning) -> Iterator[FrozenTrial]:
    """Every trial of a study as its next version has it, in order.

    A trial is comparable where that version could have proposed it: there is a point of its space that makes the very same
    configuration, on the same corpus, judged by the same metric, under the same recipe code. It keeps its results, and an
    unfinished one goes on. Any other trial keeps its place, without parameters and failed, with the reason.
    """
    assert now.study is not None
    trials = [version.trials() for version in versions]
    meanings = [version.meaning(now.study) for version in versions]
    for number in range(len(trials[-1])):
        known = [(place, mine[number]) for place, mine in enumerate(trials) if number < len(mine)]
        place, trial = [(place, trial) for place, trial in known if comparable(trial)][-1]
        meaning = meanings[place]
        assert meaning is not None
        expressed = _expressed(trial, meaning, now)
        origin = trial.user_attrs.get(ORIGIN, versions[place].number)
        yield _aside(trial, origin, expressed) if isinstance(expressed, str) else _along(trial, origin, expressed, now.study)


def grow(versions: Sequence[Version], now: Meaning, changed: Sequence[str], storage: BaseStorage) -> Version:
    """Make the next version of a study; until all of it is written, the former one is the study."""
    assert now.study is not None
    number = versions[-1].number + 1
    made = new_version(now.study, number, storage)
    trials = list(carried(versions, now))
    for trial in trials:
        database(made).create_new_trial(made._study_id, template_trial=trial)
    settle(made, number, now, changed, kept=sum(map(comparable, trials)), fenced=reasons(trials))
    return Version(number, made)


def reasons(trials: Sequence[FrozenTrial]) -> dict[str, int]:
    """Why trials are no part of a version, and how many for each reason."""
    return dict(Counter(trial.user_attrs[FENCED] for trial in trials if not comparable(trial)))


def _expressed(trial: FrozenTrial, was: Meaning, now: Meaning) -> dict[str, Any] | str:
    reason = "it had not begun" if trial.state == TrialState.WAITING else why_not_comparable(was, now)
    assert now.study is not None
    return reason or express(trial.params, was.study or now.study, now.study)


def _along(trial: FrozenTrial, origin: int, params: dict[str, Any], now: StudyConfig) -> FrozenTrial:
    """A comparable trial in the words of the new space."""
    along = copy.copy(trial)
    along.params, along.distributions = params, {path: distribution(now.search[path]) for path in params}
    along.user_attrs = {**trial.user_attrs, ORIGIN: origin}
    if PEERS in trial.user_attrs and counts(trial):
        along.user_attrs[PEERS] = peers_of(now.trial_config(params), params[now.arms] if now.arms else "")
    return along


def _aside(trial: FrozenTrial, origin: int, reason: str) -> FrozenTrial:
    """A trial that is kept on record only."""
    aside = copy.copy(trial)
    aside.state, aside.values, aside.params, aside.distributions = TrialState.FAIL, None, {}, {}
    aside.intermediate_values, aside.system_attrs = {}, {}
    aside.datetime_start = trial.datetime_start or datetime.now()
    aside.datetime_complete = trial.datetime_complete or datetime.now()
    aside.user_attrs = {**trial.user_attrs, ORIGIN: origin, FENCED: reason}
    return aside
