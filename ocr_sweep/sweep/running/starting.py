"""The beginning of a training: its folder, its run, its process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.running.active import Active
from ocr_sweep.sweep.running.engine import Engine
from ocr_sweep.sweep.running.run_tags import run_params, run_tags
from ocr_sweep.sweep.running.slots import Need, Place
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.trials.heartbeat import StallWatch
from ocr_sweep.sweep.watching.board import Board, Job
from ocr_sweep.tracking.tracker import Tracker


@dataclass(frozen=True)
class Starter:
    """Begins the trainings of one study on one corpus."""

    engine: Engine
    tracker: Tracker
    experiment_id: str
    view: CorpusView
    work: Path  # of the trials in progress
    provenance: dict[str, Any]
    board: Board
    stall_minutes: float = 15.0  # so long without a sign of life is a hang
    representations: Path | None = None  # where trials share what they learn before the classifier; None: they do not

    def begin(self, job: Job, need: Need, place: Place) -> Active:
        """Lay out a job's folder and make its run RUNNING, without a process so far. It can be done again.

        Raises:
            StoreError: the tracking store or the disk is unavailable.
        """
        attempt = self._attempt(job)
        resumed = attempt.begun()
        anew = not resumed and not attempt.events()
        attempt.prepare(job.config, self.view.path, self.provenance, self.representations, job.parts)
        tags = run_tags(job, self.view, self.provenance)
        params = run_params(job.config)
        run_id = self.tracker.begin(self.experiment_id, key=job.key, name=job.name, tags=tags, params=params, anew=anew)
        self.board.started(job, run_id, resumed)
        return Active(job, run_id, attempt, need, place)

    def launch(self, active: Active) -> None:
        """Start its process, or another after one that died, unless the trial has ended already."""
        if not active.attempt.ended():
            active.attempt.begin()
            active.worker, active.hung = self.engine.start(active.attempt, active.place, active.need), False
            active.watch = StallWatch(active.attempt.heartbeat, 60 * self.stall_minutes)

    def _attempt(self, job: Job) -> Attempt:
        """The job's folder; what another study of the same name left there is removed."""
        attempt = Attempt(self.work / job.folder)
        if attempt.prepared() and (attempt.config(), attempt.store()) != (job.config, self.view.path):
            attempt.remove()
        return attempt
