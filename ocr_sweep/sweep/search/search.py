"""The search: what is proposed next, and what it is told."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState
from pydantic import ValidationError

from ocr_sweep.config.sampler import MAX_GRID
from ocr_sweep.config.space import is_active
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import ConfigError
from ocr_sweep.sweep.search.journal import Journal
from ocr_sweep.sweep.search.proposals import CONTRADICTION, Proposal, Proposer
from ocr_sweep.sweep.search.pruners import PEERS, gives_up, peers_of
from ocr_sweep.sweep.search.repeats import repeat_config, repeat_suffix
from ocr_sweep.sweep.search.storage import RUN_ID, VERDICT, require_same_code, storage_errors
from ocr_sweep.sweep.watching.board import Job, Result
from ocr_sweep.tracking.record import Outcome

_STATES = {
    Outcome.COMPLETE: TrialState.COMPLETE,
    Outcome.PRUNED: TrialState.PRUNED,
    Outcome.FAILED: TrialState.FAIL,
    Outcome.OOM: TrialState.FAIL,
}
_REPEATS = "ocr_sweep.repeats"  # the finished repeats of a trial: run ID and values of each
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
        self._proposer = Proposer(study)
        self._at_work: set[int] = set()  # trials of which a training is handed out
        self._tried_all = False  # points of a grid
        self._code_is_checked = False
        self._interrupted = False  # whether the database went away during the last write
        with storage_errors(url):
            self._read()
            self.settled = VERDICT in optuna_study.user_attrs  # a former session came to a verdict

    def _read(self) -> None:
        self._journal = Journal(self._optuna)
        running = [trial.number for trial in self._journal.running()]
        self._waiting = deque(number for number in running if number not in self._at_work)  # for their next training

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Write within the block. Where the database went away before, what it took is read first."""
        with storage_errors(self._url):
            if self._interrupted:
                self._read()
            self._interrupted = True
            yield
            self._interrupted = False

    def base(self) -> int:
        """The trial that is the study's base, or will be: it is the first that a study proposes."""
        point = self._study.base_params()
        known = [trial.number for trial in self._journal.comparable if point.items() <= trial.params.items()]
        begun = [trial.number for trial in self._journal.running() if not self._is_whole(trial)]  # by a former version
        return min([*known, *begun], default=len(self._journal.trials))

    def remaining(self) -> int:
        """Trials that the budget still allows, unfinished ones included."""
        left = max(0, self._study.trials - sum(trial.state.is_finished() for trial in self._journal.counted))
        points = self._proposer.grid_left(len(self._journal.comparable))
        return left if points is None else min(left, points + len(self._journal.running()))

    def fenced(self) -> dict[int, str]:
        """The trials that are not comparable with the study as it is now, and why."""
        return self._journal.fenced()

    def pruned(self) -> list[int]:
        """The trials that the pruner gave up."""
        return [trial.number for trial in self._journal.counted if trial.state == TrialState.PRUNED]

    def config(self, trial: int) -> TrialConfig:
        """The configuration of a trial."""
        return self._study.trial_config(self._journal.trials[trial].params)

    def require_same_code(self) -> None:
        """Refuse to train under another recipe code than the study's trials were trained by (see `require_same_code`)."""
        if not self._code_is_checked:
            with storage_errors(self._url):
                require_same_code(self._optuna)
            self._code_is_checked = True

    def next_job(self) -> Job | None:
        """The next trial to run: an unfinished one first, then a new proposal; None when the budget is spent.

        Raises:
            ConfigError: one proposal after the other contradicts itself.
            ConflictError: the code of the recipe is not the one that the study's trials were trained by.
        """
        if not self._waiting and (self._tried_all or len(self._journal.counted) >= self._study.trials):
            return None
        self.require_same_code()
        with self._written():
            trial = self._unfinished() if self._waiting else self._propose()
        if trial is None:
            return None
        self._at_work.add(trial.number)
        return self._job(trial)

    def _unfinished(self) -> FrozenTrial:
        number = self._waiting[0]
        trial = self._journal.trials[number]
        if not self._is_whole(trial):
            known = {**self._journal.fixed_params(number), **trial.params}
            proposal = self._proposer.propose(number, self._journal.seen(self._study.trials, before=number), known)
            assert proposal is not None
            self._journal.fill_in(number, proposal)
        self._waiting.popleft()
        return trial

    def _is_whole(self, trial: FrozenTrial) -> bool:
        """Whether a trial has begun and has all its parameters; one of a former version of this program may not."""
        spaces = self._study.search.items()
        active = [path for path, space in spaces if is_active(space, trial.params)]
        return trial.state == TrialState.RUNNING and all(path in trial.params for path in active)

    def _propose(self) -> FrozenTrial | None:
        budget, out = self._study.trials, self._arms_out()
        for _ in range(MAX_GRID if self._study.sampler.kind == "grid" else _MAX_CONTRADICTIONS):
            proposal = self._proposer.propose(len(self._journal.trials), self._journal.seen(budget, out=out))
            if proposal is None:
                self._tried_all = True
                self._say(f"every point of the grid has been tried, so the search ends before its {budget} trials")
                return None
            if (why := self._refuses(proposal.params)) is not None:  # which was said when it came to be
                self._replace(proposal, why, out)
                continue
            try:
                config = self._study.trial_config(proposal.params)
            except ValidationError as error:
                why = str(error.errors()[0]["msg"]).removeprefix("Value error, ")
                number = self._replace(proposal, why, out)
                self._say(f"proposal {number} contradicts itself and is replaced: {why}")
                continue
            return self._journal.add(proposal, budget, {PEERS: peers_of(config, self._label(proposal.params))}, out=out)
        raise ConfigError(
            [f"search: must hold points that a trial can be, but {_MAX_CONTRADICTIONS} proposals in a row contradict themselves"]
        )

    def _replace(self, proposal: Proposal, why: str, out: list[Any]) -> int:
        """End a proposal that is not to be tried; it costs nothing of the budget."""
        return self._journal.add(proposal, self._study.trials, {CONTRADICTION: why}, out=out, state=TrialState.FAIL).number

    def _arms_out(self) -> list[Any]:
        """The arms that get no more in this session."""
        path, labels = self._study.shared
        return [label for label in labels if self._refuses({path: label}) is not None]

    def on_epoch(self, job: Job, epoch: int, metrics: dict[str, float]) -> bool:
        """Report an epoch; True when the pruner gives the trial up.

        The pruner compares like with like: epochs of a representation before its handover, each where it was trained. What
        comes after the handover or in a classifier stage is another thing, a forked representation is an old acquaintance that
        costs nothing more, and what was reported before a resume has been decided on.
        """
        if not self._is_comparable_epoch(job, metrics):
            return False
        with self._written():
            trial = self._journal.trials[job.trial]
            if epoch in trial.intermediate_values or trial.state.is_finished():
                return False
            self._journal.report(job.trial, epoch, metrics[f"epoch/{self._study.metric}"])
            return epoch < job.config.training.epochs and self._gives_up(trial)

    def _is_comparable_epoch(self, job: Job, metrics: dict[str, float]) -> bool:
        other = metrics.get("epoch/stage") == 2.0 or "epoch/shared" in metrics or "epoch/handed_over" in metrics
        by_epoch = self._study.against is None and self._study.pruner.kind != "wilcoxon"
        return by_epoch and not job.suffix and not other

    def _gives_up(self, trial: FrozenTrial) -> bool:
        if self._study.pruner.kind == "none" or PEERS not in trial.user_attrs:
            return False
        hopeless, rungs = gives_up(self._study, trial, self._journal.trials)
        for key, value in rungs.items():
            self._journal.note_rung(trial.number, key, value)
        return hopeless

    def on_end(self, result: Result) -> None:
        """Tell how a training ended, and with its last repeat how the trial did; telling twice is telling once."""
        with self._written():
            trial = self._journal.trials[result.job.trial]
            if not trial.state.is_finished():
                self._tell(trial, result)
        self._at_work.discard(result.job.trial)

    def _tell(self, trial: FrozenTrial, result: Result) -> None:
        if RUN_ID not in trial.user_attrs:
            self._journal.note(trial.number, RUN_ID, result.run_id)
        if result.outcome is not Outcome.COMPLETE:
            self._journal.tell(trial.number, _STATES[result.outcome])
        elif self._study.repeats == 1:
            self._journal.tell(trial.number, TrialState.COMPLETE, self._values(result))
        else:
            self._end_repeat(trial, result)

    def _end_repeat(self, trial: FrozenTrial, result: Result) -> None:
        ended: list[list[Any]] = trial.user_attrs.get(_REPEATS, [])
        if result.run_id not in [run_id for run_id, *_ in ended]:
            ended = [*ended, [result.run_id, *self._values(result)]]
            if self._study.pruner.kind == "wilcoxon" and len(ended) not in trial.intermediate_values:
                self._journal.report(trial.number, len(ended), ended[-1][1])
            self._journal.note(trial.number, _REPEATS, ended)
        if len(ended) == self._study.repeats:
            columns = list(zip(*ended, strict=True))[1:]
            self._journal.tell(trial.number, TrialState.COMPLETE, [math.fsum(column) / len(column) for column in columns])
        elif self._study.pruner.kind == "wilcoxon" and self._gives_up(trial):
            self._say(f"trial {trial.number} is pruned after {len(ended)} of {self._study.repeats} repeats")
            self._journal.tell(trial.number, TrialState.PRUNED)
        elif trial.number not in self._waiting:
            self._waiting.append(trial.number)

    def _values(self, result: Result) -> list[float]:
        names = [self._study.metric] if self._study.against is None else [self._study.metric, self._study.against]
        values = [result.metrics[name] for name in names]
        assert all(map(math.isfinite, values)), f"{result.job.name} has the value {values}"  # infinity would be best
        return values

    def _job(self, trial: FrozenTrial) -> Job:
        params, ended = dict(trial.params), len(trial.user_attrs.get(_REPEATS, []))
        repeat = min(ended, self._study.repeats - 1)  # the last one again, if a kill came between its end and the trial's
        config = repeat_config(self._study.trial_config(params), repeat)
        label = self._label(params)
        return Job(self._study.name, trial.number, "search", repeat_suffix(repeat), config, params, arm=label)

    def _label(self, params: dict[str, Any]) -> str:
        return str(params[self._study.arms]) if self._study.arms else ""
