"""A board that keeps what it hears as a study's state, and puts state and sayings where every process can read them."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import OcrSweepError, StoppedError
from ocr_sweep.metrics import Interval
from ocr_sweep.sweep.running.processes import machine_memory_mb, memory_mb, writers
from ocr_sweep.sweep.watching.board import Job
from ocr_sweep.sweep.watching.state import Condition, JobState, StudyState, encoded, state_file, write_state
from ocr_sweep.sweep.watching.study_log import append_line, log_file
from ocr_sweep.tracking.record import OUTCOME, Outcome, RunRecord

_EVERY = 1.0  # seconds between two writings
_LOOK = 2.0  # seconds between two looks at the memory, or more where a look takes long
_RECENT = 12  # ended trainings that stay in view
_SAYINGS = 5
_CURVE = 60  # points
_ROLES = ("search", "confirm", "audit")  # of a study's trainings


class RecordingBoard:
    """Hears a study and records it, from `opened` on: before, the study may be somebody else's.

    Args:
        paths: where to put it; None: it is kept in memory alone.
    """

    def __init__(self, paths: Paths | None, *, study: str, metric: str) -> None:
        self.state = StudyState(study, metric)
        self.lock = threading.RLock()  # held while the state is read or changed
        self._paths = paths
        self._open = False
        self._complained = False
        self._over = False
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True, name="board")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over = True
        self._wake.set()
        self._thread.join()
        with self.lock:
            self.state.end, sentence = _ending(error)
            self.state.sentence = sentence or self.state.sentence
            for job in self.state.running:
                job.state, job.memory_mb = "stopped", None
        self._log(f"{self.state.end}: {self.state.sentence}" if self.state.sentence else str(self.state.end))
        self._write()

    def opened(self, engine: str) -> None:
        """See `Board`."""
        with self.lock:
            self.state.engine = engine
        self._open = True
        self._log(f"begins on {self.state.host}, process {self.state.pid}")
        self._wake.set()

    def resumed(self, records: Sequence[RunRecord]) -> None:
        """See `Board`."""
        with self.lock:
            self.state.simulated = any(record.simulated for record in records)
            self.state.ended, self.state.best = {}, None
            for record in records:
                outcome = record.tags.get(OUTCOME, "")
                if record.role in _ROLES and record.status != "RUNNING" and outcome not in ("", Outcome.STOPPED):
                    self._count(outcome, self._former(record, outcome))
        self._log(f"{self.state.done} trainings have ended before")

    def building(self, what: str, done: int, total: int) -> None:
        """See `Board`."""
        with self.lock:
            self.state.building[what] = (done, total)

    def plan(self, *, total: int, slots: int) -> None:
        """See `Board`."""
        with self.lock:
            self.state.building.clear()
            self.state.total = self.state.done + total
            self.state.slots = slots

    def started(self, job: Job, run_id: str, resumed: bool) -> None:
        """See `Board`."""
        with self.lock:
            self.state.simulated = self.state.simulated or bool(job.config.corpus.simulated)
            self.state.running.append(_begun(job, run_id))
        self._log(f"{job.name} starts, run {run_id}")
        if resumed:
            self.say(f"{job.name} goes on from its checkpoint")

    def epoch(self, job: Job, epoch: int, metrics: dict[str, float]) -> None:
        """See `Board`."""
        with self.lock:
            shown = self._shown(job)
            shown.epoch = epoch
            value = metrics.get(f"epoch/{self.state.metric}")
            if value is not None:
                shown.value = value
                shown.curve = [*shown.curve, value][-_CURVE:]

    def ended(self, job: Job, outcome: str, metrics: dict[str, float], reason: str) -> None:
        """See `Board`."""
        with self.lock:
            shown = self._shown(job)
            self.state.running.remove(shown)
            shown.state, shown.memory_mb = outcome, None
            shown.seconds = time.time() - shown.began
            self._judge(shown, metrics)
            self.state.spent_seconds += shown.seconds
            self.state.num_spent += 1
            self.state.recent = [*self.state.recent, shown][-_RECENT:]
            self._count(outcome, shown)
        self._log(f"{job.name} {outcome} after {shown.seconds:.0f} s{f': {reason}' if reason else ''}")

    def judged(self, trial: int, interval: Interval, sentence: str) -> None:
        """See `Board`."""
        with self.lock:
            name = f"trial {trial}"
            self.state.best = JobState(name, "", "confirm", "", 1, {}, 0.0, "complete")
            self.state.best.value, self.state.best.low, self.state.best.high = interval.value, interval.low, interval.high
            self.state.sentence = sentence

    def say(self, message: str) -> None:
        """See `Board`."""
        with self.lock:
            self.state.said = [*self.state.said, message][-_SAYINGS:]
        self._log(message)

    def _shown(self, job: Job) -> JobState:
        return next(shown for shown in self.state.running if shown.name == job.name)

    def _former(self, record: RunRecord, outcome: str) -> JobState:
        shown = JobState(record.name, "", record.role, record.run_id, 1, {}, 0.0, outcome)
        self._judge(shown, record.metrics)
        return shown

    def _judge(self, shown: JobState, metrics: dict[str, float]) -> None:
        metric = self.state.metric
        shown.value = metrics.get(metric, shown.value)
        shown.low, shown.high = metrics.get(f"{metric}_low"), metrics.get(f"{metric}_high")

    def _count(self, outcome: str, shown: JobState) -> None:
        self.state.ended[outcome] = self.state.ended.get(outcome, 0) + 1
        best = self.state.best
        if (
            outcome == Outcome.COMPLETE
            and shown.role != "audit"
            and shown.value is not None
            and (best is None or shown.value > (best.value or 0.0))
        ):
            self.state.best = shown

    def _watch(self) -> None:
        """Look and write until the study is over."""
        looked, pause = 0.0, _LOOK
        while True:
            self._wake.wait(_EVERY)
            self._wake.clear()
            if self._over:
                return
            began = time.monotonic()
            if began - looked >= pause:
                self._look()
                looked = time.monotonic()
                pause = max(_LOOK, 50 * (looked - began))
            self._write()

    def _look(self) -> None:
        """Measure the memory of the machine, and of each training's processes: those that write to its log."""
        with self.lock:
            jobs = list(self.state.running)
        logs = {} if self._paths is None else {self._log_of(job): job for job in jobs}
        found = writers(self.state.pid, set(logs))
        measured = {file: memory_mb(pids) for file, pids in found.items()}
        with self.lock:
            self.state.machine_mb = machine_memory_mb()
            for file, job in logs.items():
                job.memory_mb = measured.get(file)
                if job.memory_mb is not None:
                    job.peak_mb = max(job.peak_mb or 0.0, job.memory_mb)

    def _log_of(self, job: JobState) -> Path:
        assert self._paths is not None
        return self._paths.work(self.state.study) / job.folder / "log.txt"

    def _write(self) -> None:
        if self._paths is None or not self._open:
            return
        try:
            with self.lock:
                self.state.heard = time.time()
                content = encoded(self.state)
            write_state(state_file(self._paths, self.state.study), content)
        except OSError as error:
            self._complain(error)

    def _log(self, line: str) -> None:
        if self._paths is None or not self._open:
            return
        try:
            append_line(log_file(self._paths, self.state.study), line)
        except OSError as error:
            self._complain(error)

    def _complain(self, error: OSError) -> None:
        """Say once that watchers see old things; a study does not end because nobody can look at it."""
        if not self._complained:
            self._complained = True
            self.say(f"what `sweep watch` shows is not written for now: {error.strerror}; the study goes on")


def _begun(job: Job, run_id: str) -> JobState:
    params = {
        path.split(".", 1)[-1]: f"{value:.3g}" if isinstance(value, float) else str(value) for path, value in job.params.items()
    }
    return JobState(job.name, job.folder, job.role, run_id, job.config.num_epochs, params, time.time())


def _ending(error: BaseException | None) -> tuple[Condition, str]:
    if error is None:
        return Condition.FINISHED, ""
    if isinstance(error, StoppedError):
        return Condition.STOPPED, f"{error}; {error.kept}"
    if isinstance(error, KeyboardInterrupt):
        return Condition.STOPPED, "stopped at once; what was recorded is safe"
    return Condition.FAILED, str(error) if isinstance(error, OcrSweepError) else f"bug: {type(error).__name__}: {error}"
