"""What a study still has to train, in order: its search, then fresh seeds of its best trials."""

from __future__ import annotations

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.board import Board, Job, Result
from ocr_sweep.sweep.confirm import confirm_jobs
from ocr_sweep.sweep.search import Search
from ocr_sweep.tracking.tracker import Tracker


class StudyJobs:
    """Hands out the trainings of a study, and hears how they end.

    A slot that would wait for the last trials of the search trains fresh seeds of the base meanwhile: the verdict needs
    them, whoever else is confirmed.
    """

    def __init__(self, study: StudyConfig, search: Search, tracker: Tracker, board: Board, *, slots: int) -> None:
        self._study = study
        self._search = search
        self._tracker = tracker
        self._board = board
        self._slots = slots
        self._searching: set[int] = set()  # trials of the search that run
        self._handed_out: set[str] = set()  # keys of this session's confirming trainings
        self._of_base: list[Job] | None = None
        self._of_all: list[Job] | None = None
        num_confirming = max(study.confirm.top + 1, study.num_arms) * study.confirm.seeds
        board.plan(total=search.remaining() + num_confirming, slots=slots)

    def next_job(self) -> Job | None:
        """The next training; None when there is none for now: if nothing runs either, there is no other.

        Raises:
            TooManyFailuresError: no trial of the search ended with a result.
        """
        job = self._search.next_job()
        if job is not None:
            self._searching.add(job.trial)
            return job
        waiting = self._confirming_base() if self._searching else self._confirming()
        job = next((job for job in waiting if job.key not in self._handed_out), None)
        if job is not None:
            self._handed_out.add(job.key)
        return job

    def on_epoch(self, job: Job, epoch: int, metrics: dict[str, float]) -> bool:
        """Whether the pruner gives a training up; a confirming one never."""
        return job.role == "search" and self._search.on_epoch(job, epoch, metrics)

    def on_end(self, result: Result) -> None:
        """Tell Optuna how a trial ended; a confirming training is recorded in the tracking store alone."""
        if result.job.role == "search":
            self._search.on_end(result)
            self._searching.discard(result.job.trial)  # a recorded end may be told again

    def _confirming_base(self) -> list[Job]:
        """Fresh seeds of trial 0, once it is complete."""
        if 0 in self._searching:
            return []
        if self._of_base is None:
            base = [record for record in self._tracker.runs(self._study.name) if record.trial == 0]
            known = any(record.role == "search" and record.complete for record in base)
            self._of_base = confirm_jobs(self._study, base, self._tracker) if known else []
        return self._of_base

    def _confirming(self) -> list[Job]:
        if self._of_all is None:
            self._of_all = confirm_jobs(self._study, self._tracker.runs(self._study.name), self._tracker)
            self._board.plan(total=len(self._of_all), slots=self._slots)
        return self._of_all
