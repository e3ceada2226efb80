"""What trials have written down on its way to those who keep it: the tracking store, the board, the pruner."""

from __future__ import annotations

from collections.abc import Callable

from ocr_sweep.sweep.running.active import Active
from ocr_sweep.sweep.watching.board import Board, Job
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
    _tell_of_damage(active, board)


def _tell_of_damage(active: Active, board: Board) -> None:
    """Say that a line of the events is not what the trial wrote; its epoch comes again if the trial ever starts again."""
    damaged = active.attempt.num_damaged_events()
    if damaged > active.damaged:
        active.damaged = damaged
        lines = "a line" if damaged == 1 else f"{damaged} lines"
        board.say(f"{active.job.name}: {lines} of its events.jsonl was damaged on disk, and is left out of its curves")
