"""Runs jobs side by side: finds them places, starts them, ends their runs truthfully. The one writer of the tracker."""

from __future__ import annotations

import time
from collections.abc import Callable

from ocr_sweep.errors import StoreError, TooManyFailuresError
from ocr_sweep.sweep.running.active import Active, Ended
from ocr_sweep.sweep.running.breaker import Breaker
from ocr_sweep.sweep.running.deaths import Again, fate
from ocr_sweep.sweep.running.outage import Stores
from ocr_sweep.sweep.running.placing import Placing
from ocr_sweep.sweep.running.recording import record_end
from ocr_sweep.sweep.running.shipping import OnEpoch, ship
from ocr_sweep.sweep.running.starting import Starter
from ocr_sweep.sweep.signals import Signals
from ocr_sweep.sweep.watching.board import Job, Result
from ocr_sweep.tracking.record import Outcome

_POLL = 0.25  # seconds between two looks at the trials
_STACKS = 2.0  # seconds in which a hung trial may write its stacks down
_GRACE = 120.0  # seconds that stopping trials get for their checkpoints


class Runner:
    """Runs the jobs of one study on one corpus."""

    def __init__(
        self, starter: Starter, placing: Placing, stores: Stores, breaker: Breaker, signals: Signals, *, max_failures: int
    ) -> None:
        self.board = starter.board
        self._starter = starter
        self._placing = placing
        self._stores = stores
        self._breaker = breaker
        self._signals = signals
        self._max_failures = max_failures
        self._failures = 0
        self._completed = False  # whether any training has
        self._engine = starter.engine
        self._tracker = starter.tracker
        self._active: list[Active] = []
        self._next: Job | None = None  # the head of the line

    def drive(self, next_job: Callable[[], Job | None], on_epoch: OnEpoch, on_end: Callable[[Result], None]) -> None:
        """Run jobs until `next_job` has none and all have ended.

        Args:
            next_job: asked whenever a training could start; None when there is none for now.
            on_epoch: hears an epoch's metrics and says whether to prune the job.
            on_end: hears a recorded result; it is the last to know, so what it writes is the last write.

        Raises:
            StoppedError: a signal came; every trial has checkpointed.
            KeyboardInterrupt: a second one came; every trial has been killed, and its last checkpoint is safe.
            StoreError: a disk is unavailable, or a store has been for too long; every trial has checkpointed as far as the disk
                let it.
            TooManyFailuresError: too many trials failed in a row.
        """
        try:
            while True:
                self._signals.raise_if_heard()
                self._end_hung()
                self._see_ends()
                if self._stores.due():
                    with self._stores.borne():
                        self._record(on_epoch, on_end)
                        if self._fill(next_job) and not self._active:
                            return
                living = [active.worker for active in self._active if active.ended is None and not active.homeless]
                self._engine.wait(living, _POLL)
        except BaseException:
            self._stop_all()
            if self._signals.impatient:
                raise KeyboardInterrupt from None
            raise

    def _end_hung(self) -> None:
        """End the processes that live and make no progress; what becomes of their trials is decided as after any death."""
        for active in self._active:
            if active.worker.exit_code is None and active.watch is not None and active.watch.stalled():
                active.hung = True
                active.worker.show_stacks()
                self._engine.wait([active.worker], _STACKS)
                active.worker.kill()

    def _see_ends(self) -> None:
        """Decide what becomes of trials whose process has ended; no store is asked."""
        for active in self._active:
            if active.ended is None and not active.homeless and active.worker.exit_code is not None:
                found = fate(active)
                if isinstance(found, Ended):
                    active.ended = found
                else:
                    self._start_again(active, found)

    def _start_again(self, active: Active, found: Again) -> None:
        self.board.say(f"{active.job.name}: {found.why}")
        if found.died:
            self._breaker.failed_at(active.place, active.job.name)
            active.place = self._placing.elsewhere(active, self._others(active), self._breaker.broken)
        active.homeless = bool(self._breaker.broken & set(active.place.parts)) or not self._placing.is_there(active.place)
        if not active.homeless:
            self._starter.launch(active)

    def _rehouse(self) -> bool:
        """Start those again that wait for a place that works; False when one of them still does."""
        for active in self._active:
            if active.homeless:
                place = self._placing.find(active.job.name, active.need, self._others(active), self._breaker.broken)
                if place is None:
                    return False
                active.place, active.homeless = place, False
                self._starter.launch(active)
        return True

    def _others(self, active: Active) -> list[Active]:
        return [other for other in self._active if other is not active]

    def _record(self, on_epoch: OnEpoch, on_end: Callable[[Result], None]) -> None:
        """Pass on what trials have written, and record those that have ended."""
        for active in list(self._active):
            ship(active, self._tracker, self.board, on_epoch)
            if active.ended is not None:
                result = record_end(active, active.ended, self._tracker, on_end)
                self._active.remove(active)
                self.board.ended(active.job, result.outcome.value, result.metrics, result.reason)
                self._placing.heard(result)
                self._breaker.heard(result, active.place)
                self._count(result)

    def _fill(self, next_job: Callable[[], Job | None]) -> bool:
        """Start what fits beside the trainings that run; a job that does not fit waits at the head of the line.

        Returns:
            Whether there is no job for now.
        """
        if not self._rehouse():
            return False
        while not self._placing.full(self._active):
            self._next = self._next or next_job()
            if self._next is None:
                return True
            need = self._placing.need(self._next.config)
            place = self._placing.find(self._next.name, need, self._active, self._breaker.broken)
            if place is None:
                return False
            active = self._starter.begin(self._next, need, place)
            self._next = None
            self._active.append(active)  # from here on its run is ended truthfully, whatever happens
            self._starter.launch(active)
        return False

    def _count(self, result: Result) -> None:
        """Stop after too many failures in a row.

        A trial that has no memory says something of its point, and nothing of the study: it counts for as long as no
        training of this session has completed, since until then nothing shows that the study can run here at all.
        """
        self._completed |= result.outcome is Outcome.COMPLETE
        match result.outcome:
            case Outcome.FAILED:
                self._failures += 1
            case Outcome.OOM:
                self._failures += not self._completed
            case _:
                self._failures = 0
        if self._failures >= self._max_failures:
            raise TooManyFailuresError(
                f"{self._failures} trials in a row failed, so the study was stopped; the last one: {result.reason}. "
                "The finished trials are kept; mend the cause, then run the same command again"
            )

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
        self._pause_all()
        self._active.clear()

    def _pause_all(self) -> None:
        try:
            for active in self._active:
                self._tracker.finish(active.run_id, Outcome.STOPPED, "goes on when the study is run again")
        except StoreError as error:  # the next would wait as long in vain
            self.board.say(str(error))
