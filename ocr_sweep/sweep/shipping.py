"""What trials have written down on its way to those who keep it: the tracking store, the board, the pruner."""

from __future__ import annotations

from collections.abc import Callable

from ocr_sweep.sweep.active import Active
from ocr_sweep.sweep.board import Board, Job
from ocr_sweep.tracking.tracker import Tracker

OnEpoch = Callable[[Job, int, dict[str, float]], bool]


def ship(active: Active, tracker: Tracker, board: Board, on_epoch: OnEpoch) -> None:
    """Pass on the epochs that have not been; one that comes twice is stored once.

    Raises:
        StoreError: a store does not take one; it and those after it are passed on the next time.
    """
    for event in active.attempt.events():
        if event.epoch in active.shipped:
            continue
        tracker.log_metrics(active.run_id, event.metrics, step=event.epoch, timestamp=event.timestamp)
        wants_end = on_epoch(active.job, event.epoch, event.metrics)
        if wants_end and not active.pruning and active.worker.exit_code is None:
            active.attempt.wish("prune")
            active.pruning = True
        active.shipped.add(event.epoch)
        board.epoch(active.job, event.epoch, event.metrics)
