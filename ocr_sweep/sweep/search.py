"""The search: what Optuna proposes next, and what it is told."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import optuna
from optuna.trial import TrialState
from pydantic import ValidationError

from ocr_sweep.config.study import CategoricalRange, FloatRange, IntRange, StudyConfig, is_active
from ocr_sweep.errors import ConfigError
from ocr_sweep.sweep.board import Job, Result
from ocr_sweep.sweep.storage import RUN_ID, make_sampler, storage_errors
from ocr_sweep.tracking.record import Outcome

_STATES = {
    Outcome.COMPLETE: TrialState.COMPLETE,
    Outcome.PRUNED: TrialState.PRUNED,
    Outcome.FAILED: TrialState.FAIL,
    Outcome.OOM: TrialState.FAIL,
}
_CONTRADICTION = "ocr_sweep.contradiction"  # why a proposal was never tried
_MAX_CONTRADICTIONS = 200  # proposals in a row


class Search:
    """Ask and tell for one study; the only user of Optuna while the study runs.

    Two values that are right in themselves may contradict each other, a prior in the loss and a balanced sampling say. Such a
    proposal is told as failed, said, and replaced; it costs nothing of the budget.

    Args:
        say: hears a sentence for the reader.
        refuses: says why a point is not to be tried, if it is not; then it is replaced, too.
    """

    def __init__(
        self,
        study: StudyConfig,
        optuna_study: optuna.Study,
        url: str,
        say: Callable[[str], None],
        refuses: Callable[[Mapping[str, object]], str | None] = lambda params: None,
    ) -> None:
        self._study = study
        self._optuna = optuna_study
        self._url = url
        self._say = say
        self._refuses = refuses
        self._spent = False  # the budget
        self._handed_out: set[int] = set()  # trials of this session
        self._interrupted = False  # whether the database went away while a trial was asked for
        self._unfinished = self._in_state(TrialState.RUNNING)  # of a session that ended before them

    def remaining(self) -> int:
        """Trials that the budget still allows, unfinished ones included."""
        return max(0, self._study.trials - len(self._finished()))

    def next_job(self) -> Job | None:
        """The next trial to run: an unfinished one first, then a new proposal; None when the budget is spent.

        Raises:
            ConfigError: one proposal after the other contradicts itself.
        """
        if self._interrupted:  # what was asked for, and never came, runs in the database
            running = self._in_state(TrialState.RUNNING)
            self._unfinished = [trial for trial in running if trial.number not in self._handed_out]
        self._interrupted = True
        with storage_errors(self._url):
            job = self._next_job()
        self._interrupted = False
        if job is not None:
            self._handed_out.add(job.trial)
        return job

    def _next_job(self) -> Job | None:
        for _ in range(_MAX_CONTRADICTIONS):
            trial = self._ask()
            if trial is None:
                return None
            params = self._suggest(trial)
            if why := self._refuses(params):  # which was said when it came to be
                self._replace(trial, why)
                continue
            try:
                return self._job(trial, params)
            except ValidationError as error:
                why = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
                self._replace(trial, why)
                self._say(f"proposal {trial.number} contradicts itself and is replaced: {why}")
        raise ConfigError(
            [f"search: must hold points that a trial can be, but {_MAX_CONTRADICTIONS} proposals in a row contradict themselves"]
        )

    def _ask(self) -> optuna.trial.Trial | None:
        if self._spent:
            return None
        if self._unfinished:
            frozen = self._unfinished.pop(0)
            self._optuna.sampler = make_sampler(self._study, frozen.number)
            return optuna.trial.Trial(self._optuna, frozen._trial_id)
        started = self._optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING, *_STATES.values()))
        if sum(_counts(trial) for trial in started) >= self._study.trials:
            self._spent = True
            return None
        known = len(self._optuna.get_trials(deepcopy=False))
        for point in self._study.first_points()[known:]:  # all at first, the rest after a kill, then none
            self._optuna.enqueue_trial(point)
        self._optuna.sampler = make_sampler(self._study, len(started))
        return self._optuna.ask()

    def _replace(self, trial: optuna.trial.Trial, why: str) -> None:
        """End a proposal that is not to be tried; it costs nothing of the budget."""
        trial.set_user_attr(_CONTRADICTION, why)
        self._optuna.tell(trial.number, state=TrialState.FAIL)

    def on_epoch(self, job: Job, epoch: int, metrics: dict[str, float]) -> bool:
        """Report an epoch; True when the pruner gives the trial up.

        The pruner compares like with like: epochs of a representation, each where it was trained. What a classifier
        stage reaches is another thing, and a forked representation is an old acquaintance that costs nothing more.
        """
        if metrics.get("epoch/stage") == 2.0 or "epoch/shared" in metrics:
            return False
        with storage_errors(self._url):
            trial = self._trial(job)
            if epoch not in self._frozen(job).intermediate_values:
                trial.report(metrics[f"epoch/{self._study.metric}"], epoch)
            return epoch < job.config.training.epochs and bool(trial.should_prune())

    def on_end(self, result: Result) -> None:
        """Tell how a trial ended; telling twice is telling once."""
        with storage_errors(self._url):
            frozen = self._frozen(result.job)
            if frozen.state.is_finished():
                return
            self._optuna._storage.set_trial_user_attr(frozen._trial_id, RUN_ID, result.run_id)
            value = result.metrics[self._study.metric] if result.outcome is Outcome.COMPLETE else None
            assert value is None or math.isfinite(value), f"{result.job.name} has the value {value}"  # infinity would be best
            self._optuna.tell(result.job.trial, value, state=_STATES[result.outcome])

    def _job(self, trial: optuna.trial.Trial, params: dict[str, Any]) -> Job:
        arm = str(params[self._study.arms]) if self._study.arms else ""
        return Job(self._study.name, trial.number, "search", "", self._study.trial_config(params), params, arm=arm)

    def _suggest(self, trial: optuna.trial.Trial) -> dict[str, Any]:
        params: dict[str, Any] = {}
        for path in self._study.ordered_search():
            space = self._study.search[path]
            if not is_active(space, params):
                continue
            match space:
                case FloatRange(low=low, high=high, log=log):
                    params[path] = trial.suggest_float(path, low, high, log=log)
                case IntRange(low=low, high=high, log=log):
                    params[path] = trial.suggest_int(path, low, high, log=log)
                case CategoricalRange(labels=labels):
                    params[path] = trial.suggest_categorical(path, labels)
        return params

    def _finished(self) -> list[optuna.trial.FrozenTrial]:
        return [trial for trial in self._optuna.get_trials(deepcopy=False, states=tuple(_STATES.values())) if _counts(trial)]

    def _in_state(self, state: TrialState) -> list[optuna.trial.FrozenTrial]:
        with storage_errors(self._url):
            return self._optuna.get_trials(deepcopy=False, states=(state,))

    def _frozen(self, job: Job) -> optuna.trial.FrozenTrial:
        return self._optuna.get_trials(deepcopy=False)[job.trial]

    def _trial(self, job: Job) -> optuna.trial.Trial:
        return optuna.trial.Trial(self._optuna, self._frozen(job)._trial_id)


def _counts(trial: optuna.trial.FrozenTrial) -> bool:
    """Whether a trial belongs to the budget: one that contradicted itself never ran."""
    return _CONTRADICTION not in trial.user_attrs
