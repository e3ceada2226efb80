"""What becomes of a trial whose process is no more: it has said how it ended, or it starts again, a few times."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.errors import StoppedError, StoreError
from ocr_sweep.sweep.running.active import Active, Ended
from ocr_sweep.sweep.trials.micro_batches import halved, part_size
from ocr_sweep.tracking.record import Outcome

_MAX_DEATHS = 3  # so many deaths of its process end a trial


@dataclass(frozen=True)
class Again:
    """The trial starts again from its last checkpoint."""

    why: str  # for the reader, after the run's name
    died: bool = False  # whether its process ended badly, which may lie in its place


def fate(active: Active) -> Ended | Again:
    """Read what a trial left whose process has ended.

    Raises:
        StoppedError: it was told to stop, and not by us.
        StoreError: the disk did not take what it wrote.
    """
    match active.attempt.outcome():
        case None:
            return _after_a_death(active)
        case ("complete", _):
            return Ended(Outcome.COMPLETE)
        case ("pruned", _):
            return Ended(Outcome.PRUNED, "stopped by the pruner")
        case ("stopped", _):
            raise StoppedError(f"trial {active.job.name} was stopped from outside", signal.SIGTERM)
        case ("oom", reason):
            return _in_smaller_parts(active, reason)
        case (_, reason):
            return Ended(Outcome.FAILED, reason)


def _after_a_death(active: Active) -> Ended | Again:
    code = active.worker.exit_code
    assert code is not None, f"{active.job.name} lives"
    if code == StoreError.exit_code:
        raise StoreError(f"trial {active.job.name} could not write: {_last_line(active.attempt.log)}")
    if active.worker.out_of_memory:
        return _in_smaller_parts(active, "oom: the kernel ended its process, because the machine's memory was full")
    deaths, how = active.attempt.died(), _how(active, code)
    if deaths < _MAX_DEATHS:
        return Again(f"its process {how}; started again from its last checkpoint", died=True)
    if active.hung:
        return Ended(Outcome.FAILED, f"hung: its process {how}, and so {deaths} times")
    return Ended(Outcome.FAILED, f"died: its process {how}, and so {deaths} times")


def _how(active: Active, code: int) -> str:
    if active.hung and active.watch is not None:
        return f"made no progress for {active.watch.seconds / 60:g} minutes; the stacks of its threads are in its log"
    if active.worker.lost_on:
        return f"was lost on node {active.worker.lost_on}"
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"


def _in_smaller_parts(active: Active, reason: str) -> Ended | Again:
    """Let batches pass in parts half as large, until they would be too small."""
    config, attempt = active.job.config, active.attempt
    parts = halved(config, attempt.micro_batches(), epochs=len(attempt.events()))
    if parts is None:
        return Ended(Outcome.OOM, reason)
    attempt.cut(parts)
    size = f"{parts.count} parts of {part_size(config, parts)} images"
    return Again(f"its memory did not suffice; it goes on with batches in {size}, and batch norm sees the parts")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    said = lines[-1] if lines else "its disk took not even the reason"
    return (
        said
        if "same command" in said
        else f"{said}. What was recorded before is safe; free space, then run the same command again"
    )
