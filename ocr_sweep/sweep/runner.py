"""Runs jobs side by side: starts them, ships their events, ends their runs truthfully. The one writer of the tracker."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.config.model import CapsuleConfig, DenseUNetConfig, TimmConfig, UNetConfig
from ocr_sweep.config.study import flatten
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import IntegrityError, StoppedError, StoreError, TooManyFailuresError
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.attempt import ONNX, WEIGHTS, Attempt
from ocr_sweep.sweep.board import Board, Job
from ocr_sweep.sweep.corpora import CorpusProgress
from ocr_sweep.sweep.engine import Engine, Worker
from ocr_sweep.tracking import record
from ocr_sweep.tracking.model_folder import write_model_folder
from ocr_sweep.tracking.record import Outcome
from ocr_sweep.tracking.tracker import Tracker

_POLL = 0.25  # seconds between two looks at the trials
_MAX_DEATHS = 3  # so many deaths of its process end a trial
_GRACE = 120.0  # seconds that stopping trials get for their checkpoints


@dataclass(frozen=True)
class Result:
    """How a job ended."""

    job: Job
    run_id: str
    outcome: Outcome
    metrics: dict[str, float]
    reason: str


@dataclass
class _Active:
    job: Job
    run_id: str
    attempt: Attempt
    worker: Worker
    epochs: int = 0
    pruning: bool = False


class Signals:
    """Turns SIGINT, SIGTERM and SIGHUP into wishes, which are asked for where stopping is safe.

    The first one stops after a checkpoint, a second SIGINT waits for nobody. Only a third interrupts wherever it comes:
    the way out of a call that hangs.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self.impatient = False

    def _hear(self, number: int, _: FrameType | None) -> None:
        if self.number is None:
            self.number = number
        elif number == signal.SIGINT and not self.impatient:
            self.impatient = True
        elif number == signal.SIGINT:
            raise KeyboardInterrupt

    def raise_if_heard(self) -> None:
        """Stop here if a signal came.

        Raises:
            StoppedError: with the signal's number.
        """
        if self.number is not None:
            raise StoppedError(f"stopped by {signal.Signals(self.number).name}", self.number)

    def between(self, report: CorpusProgress) -> CorpusProgress:
        """A report of progress at which a signal stops the work: that of a corpus, and no trial's."""

        def reporting(what: str, done: int, total: int) -> None:
            try:
                self.raise_if_heard()
            except StoppedError as error:
                error.kept = f"it was {what}, and keeps what it had finished"
                raise
            report(what, done, total)

        return reporting

    @contextmanager
    def listening(self) -> Iterator[Signals]:
        """Listen within the block; the former handlers are put back."""
        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        former = {number: signal.signal(number, self._hear) for number in numbers}
        try:
            yield self
        finally:
            for number, handler in former.items():
                signal.signal(number, handler)


class Runner:
    """Runs the jobs of one study on one corpus."""

    def __init__(
        self,
        *,
        engine: Engine,
        tracker: Tracker,
        experiment_id: str,
        view: CorpusView,
        work: Path,
        slots: int,
        max_failures: int,
        provenance: dict[str, Any],
        board: Board,
        signals: Signals,
        representations: Path | None = None,  # where trials share what they learn before the classifier; None: they do not
    ) -> None:
        self.view = view
        self.board = board
        self.slots = slots
        self._engine = engine
        self._tracker = tracker
        self._experiment_id = experiment_id
        self._work = work
        self._max_failures = max_failures
        self._failures = 0
        self._provenance = provenance
        self._signals = signals
        self._representations = representations
        self._active: list[_Active] = []

    def drive(
        self,
        next_job: Callable[[], Job | None],
        on_epoch: Callable[[Job, int, dict[str, float]], bool],
        on_end: Callable[[Result], None],
    ) -> None:
        """Run jobs until `next_job` has none and all have ended.

        Args:
            next_job: asked whenever a slot is free; None when there is none for now.
            on_epoch: hears an epoch's metrics and says whether to prune the job.
            on_end: hears a recorded result; it is the last to know, so what it writes is the last write.

        Raises:
            StoppedError: a signal came; every trial has checkpointed.
            KeyboardInterrupt: a second one came; every trial has been killed, and its last checkpoint is safe.
            StoreError: a store or disk is unavailable; every trial has checkpointed as far as the disk let it.
            TooManyFailuresError: too many trials failed in a row.
        """
        try:
            while True:
                self._signals.raise_if_heard()
                self._fill(next_job)
                if not self._active:
                    return
                self._engine.wait([active.worker for active in self._active], _POLL)
                for active in list(self._active):
                    self._look_at(active, on_epoch, on_end)
        except BaseException:
            self._stop_all()
            if self._signals.impatient:
                raise KeyboardInterrupt from None
            raise

    def _fill(self, next_job: Callable[[], Job | None]) -> None:
        while len(self._active) < self.slots:
            job = next_job()
            if job is None:
                return
            self._start(job)

    def _start(self, job: Job) -> None:
        attempt = self._attempt(job)
        anew, resumed = not attempt.prepared(), attempt.begun()
        attempt.prepare(job.config, self.view.path, self._provenance, self._representations)
        run_id = self._tracker.begin(
            self._experiment_id, key=job.key, name=job.name, tags=self._tags(job), params=run_params(job.config), anew=anew
        )
        active = _Active(job, run_id, attempt, _NoProcess())
        self._active.append(active)  # from here on its run is ended truthfully, whatever happens
        self.board.started(job, run_id, resumed)
        if not attempt.ended():
            attempt.begin()
            active.worker = self._engine.start(attempt)

    def _attempt(self, job: Job) -> Attempt:
        """The job's folder; what another study of the same name left there is removed."""
        attempt = Attempt(self._work / job.folder)
        if attempt.prepared() and (attempt.config(), attempt.store()) != (job.config, self.view.path):
            attempt.remove()
        return attempt

    def _tags(self, job: Job) -> dict[str, str]:
        code = self._provenance["code"]
        return {
            record.STUDY: job.study,
            record.TRIAL: str(job.trial),
            record.ROLE: job.role,
            record.ARM: job.arm or arm(job.config),
            record.CORPUS: self.view.fingerprint,
            record.SIMULATED: str(self.view.simulated).lower(),
            **({record.REPRODUCES: job.reproduces} if job.reproduces else {}),
            "mlflow.source.name": "ocr-sweep",
            "mlflow.source.type": "LOCAL",
            **({"mlflow.source.git.commit": code["commit"]} if code["commit"] else {}),
        }

    def _look_at(self, active: _Active, on_epoch: Callable[..., bool], on_end: Callable[[Result], None]) -> None:
        code = active.worker.exit_code  # read before the events: a trial that has ended has written its last one
        self._ship(active, on_epoch)
        if code is None:
            return
        match active.attempt.outcome():
            case None if code == StoreError.exit_code:
                self._active.remove(active)
                self._pause(active)
                raise StoreError(f"trial {active.job.name} could not write: {_last_line(active.attempt.log)}")
            case None:
                self._restart(active, code, on_end)
            case ("complete", _):
                self._complete(active, on_end)
            case ("pruned", _):
                self._end(active, Outcome.PRUNED, {}, "stopped by the pruner", on_end)
            case ("stopped", _):
                self._active.remove(active)
                self._pause(active)
                raise StoppedError(f"trial {active.job.name} was stopped from outside", signal.SIGTERM)
            case (_, reason):
                self._end(active, Outcome.FAILED, {}, reason, on_end)

    def _ship(self, active: _Active, on_epoch: Callable[..., bool]) -> None:
        for event in active.attempt.events()[active.epochs :]:
            self._tracker.log_metrics(active.run_id, event.metrics, step=event.epoch, timestamp=event.timestamp)
            active.epochs += 1
            self.board.epoch(active.job, event.epoch, event.metrics)
            if on_epoch(active.job, event.epoch, event.metrics) and not active.pruning and active.worker.exit_code is None:
                active.pruning = True
                active.attempt.wish("prune")

    def _restart(self, active: _Active, code: int, on_end: Callable[[Result], None]) -> None:
        """A process died without a word: start it again from its checkpoint, a few times."""
        how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
        deaths = active.attempt.died()
        if deaths >= _MAX_DEATHS:
            self._end(active, Outcome.FAILED, {}, f"died: its process {how}, and so {deaths} times", on_end)
            return
        active.attempt.begin()
        self.board.say(f"{active.job.name}: its process {how}; started again from its last checkpoint")
        active.worker = self._engine.start(active.attempt)

    def _complete(self, active: _Active, on_end: Callable[[Result], None]) -> None:
        try:
            manifest = active.attempt.sealed()
        except IntegrityError as error:
            self._end(active, Outcome.FAILED, {}, f"integrity: {error}", on_end)
            return
        metrics = {key: float(value) for key, value in manifest["metrics"].items()}
        self._tracker.log_metrics(active.run_id, metrics, timestamp=manifest["timestamp"])
        hashes = manifest["sha256"]
        shared = {record.REPRESENTATION: manifest["representation"]} if "representation" in manifest else {}
        write_model_folder(active.attempt.result / ONNX, active.attempt.folder)
        files = {record.FILES_SHA256: fingerprint(active.attempt.hashes())}
        tags = {record.ONNX_SHA256: hashes[ONNX], record.WEIGHTS_SHA256: hashes[WEIGHTS], **shared, **files}
        self._tracker.set_tags(active.run_id, tags)
        self._end(active, Outcome.COMPLETE, metrics, "", on_end)

    def _end(
        self, active: _Active, outcome: Outcome, metrics: dict[str, float], reason: str, on_end: Callable[[Result], None]
    ) -> None:
        """Record everything, the outcome after its evidence and `on_end` after the outcome; then tidy up."""
        self._upload(active)
        self._tracker.finish(active.run_id, outcome, reason)
        on_end(Result(active.job, active.run_id, outcome, metrics, reason))
        active.attempt.remove()
        self._active.remove(active)
        self.board.ended(active.job, outcome.value, metrics, reason)
        self._failures = self._failures + 1 if outcome is Outcome.FAILED else 0
        if self._failures >= self._max_failures:
            raise TooManyFailuresError(
                f"{self._failures} trials in a row failed, so the study was stopped; the last one: {reason}. "
                "The finished trials are kept; mend the cause, then run the same command again"
            )

    def _upload(self, active: _Active) -> None:
        self._tracker.upload(active.run_id, active.attempt.result)
        if active.attempt.log.exists() and active.attempt.log.stat().st_size:
            self._tracker.upload_file(active.run_id, active.attempt.log)

    def _stop_all(self) -> None:
        """Ask every trial for a checkpoint, wait, kill what still lives, and leave true states behind."""
        for active in self._active:
            try:
                active.attempt.wish("stop")
            except StoreError:
                active.worker.kill()  # its last checkpoint is safe
        deadline = time.monotonic() + _GRACE
        while (living := [a.worker for a in self._active if a.worker.exit_code is None]) and time.monotonic() < deadline:
            if self._signals.impatient:
                break
            self._engine.wait(living, _POLL)
        for active in self._active:
            if active.worker.exit_code is None:
                active.worker.kill()
            self._pause(active)
        self._active.clear()

    def _pause(self, active: _Active) -> None:
        try:
            self._tracker.finish(active.run_id, Outcome.STOPPED, "goes on when the study is run again")
        except StoreError as error:
            self.board.say(str(error))


class _NoProcess:
    """The worker of a trial that needs none: not started yet, or it ended in a former session."""

    exit_code = 0

    def kill(self) -> None:
        """Nothing lives."""


def run_params(config: TrialConfig) -> dict[str, Any]:
    """The configuration as flat parameters; the charset as its size, since the whole of it stands in config.yaml."""
    data = config.model_dump(mode="json")
    data["corpus"]["charset"] = {"size": len(config.corpus.charset.chars)}
    return flatten(data)


def arm(config: TrialConfig) -> str:
    """The architecture's name, by which runs are grouped."""
    match config.model:
        case UNetConfig(decoder=decoder) | DenseUNetConfig(decoder=decoder):
            return config.model.kind if decoder else f"{config.model.kind}_encoder"
        case CapsuleConfig(routing=routing, latent=latent):
            return f"capsule_{routing.kind}" if latent else f"capsule_{routing.kind}_full"
        case TimmConfig(name=name):
            return name


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    said = lines[-1] if lines else "its disk took not even the reason"
    return (
        said
        if "same command" in said
        else f"{said}. What was recorded before is safe; free space, then run the same command again"
    )
