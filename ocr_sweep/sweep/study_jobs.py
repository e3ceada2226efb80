"""What a study still has to train, in order: its search, the race of its best trials, and the audit of its pruner."""

from __future__ import annotations

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.confirmation.audit import audit_jobs
from ocr_sweep.sweep.confirmation.confirm import NOT_NEEDED, Confirmation
from ocr_sweep.sweep.confirmation.judge import left_line
from ocr_sweep.sweep.confirmation.race import Race
from ocr_sweep.sweep.confirmation.ranking import mean_trials
from ocr_sweep.sweep.fences import comparable_records
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.watching.board import Board, Job, Result
from ocr_sweep.tracking.record import REASON, Outcome, RunRecord
from ocr_sweep.tracking.tracker import Tracker


class StudyJobs:
    """Hands out the trainings of a study, and hears how they end.

    No slot waits while there is something useful to train: beside the last trials of the search, fresh seeds of the base
    and of those that lead so far; beside the last trainings of a round, the next rounds of those that are in, and then pruned
    trials for the audit. What turns out not to be needed is stopped, and nothing is decided by it.
    """

    def __init__(
        self, study: StudyConfig, search: Search, tracker: Tracker, board: Board, confirmation: Confirmation, *, slots: int
    ) -> None:
        self._study = study
        self._search = search
        self._tracker = tracker
        self._board = board
        self._confirmation = confirmation
        self._slots = slots
        self._searching: set[int] = set()  # trials of the search that run
        self._has_searched = False  # in this session
        self._handed_out: set[str] = set()  # keys of this session's confirming trainings
        self._gone: set[str] = set()  # those of them that ended without a result
        self._race: Race | None = None  # None before the search has ended
        self._waiting: list[Job] | None = None  # confirming trainings in the order of their use; None: to be looked up
        num_confirming = max(study.confirm.top + 1, study.num_arms) * study.confirm.seeds
        board.plan(total=search.remaining() * study.repeats + num_confirming, slots=slots)

    def next_job(self) -> Job | None:
        """The next training; None when there is none for now: if nothing runs either, there is no other.

        Raises:
            TooManyFailuresError: no trial of the search ended with a result.
            ConflictError: there is something to train, and the code of the recipe is not the one of the study's trials.
        """
        job = self._search.next_job()
        if job is not None:
            self._searching.add(job.trial)
            self._has_searched = True
            return job
        if self._waiting is None:
            self._waiting = self._ahead_of_the_race() if self._searching else self._of_the_race()
        job = next((job for job in self._waiting if job.key not in self._handed_out), None)
        if job is not None:
            self._search.require_same_code()
            self._handed_out.add(job.key)
        return job

    def on_epoch(self, job: Job, epoch: int, metrics: dict[str, float]) -> bool:
        """Whether a training is given up: one of the search by the pruner, a confirming one once the race needs it no more."""
        if job.role == "search":
            return self._search.on_epoch(job, epoch, metrics)
        return job.role == "confirm" and self._race is not None and (self._race.over or job.trial not in self._race.running)

    def on_end(self, result: Result) -> None:
        """Tell Optuna how a trial ended; other trainings are recorded in the tracking store alone."""
        self._waiting = None
        if result.job.role == "search":
            self._search.on_end(result)
            self._searching.discard(result.job.trial)  # a recorded end may be told again
        elif result.outcome is not Outcome.COMPLETE:
            self._gone.add(result.job.key)
            if result.outcome is Outcome.PRUNED:
                self._tracker.set_tags(result.run_id, {REASON: NOT_NEEDED})

    def _ahead_of_the_race(self) -> list[Job]:
        """Fresh seeds of those that would race if the search ended now, once the base has a result or none to come."""
        if self._confirmation.base in self._searching:
            return []
        known = [record for record in self._records() if record.trial not in self._searching]
        if not mean_trials(self._study, known):
            return []
        return list(self._confirmation.jobs(known))

    def _of_the_race(self) -> list[Job]:
        records = self._records()
        before, self._race = self._race, self._confirmation.race(records, self._gone)
        if before is not None:  # what a former session decided was said by it
            for left in self._race.left[len(before.left) :]:
                self._board.say(left_line(left))
        jobs = [] if self._race.over else list(self._confirmation.jobs(records, self._race.running))
        if jobs or self._has_searched or not self._search.settled:  # a finished study stays finished
            jobs += audit_jobs(self._study, self._search.pruned(), self._search.config, records)
        jobs = [job for job in jobs if job.key not in self._gone]
        self._board.plan(total=len(jobs), slots=self._slots)
        return jobs

    def _records(self) -> list[RunRecord]:
        return comparable_records(self._tracker.runs(self._study.name))
