"""What a trial does without enough memory: its batches pass in smaller parts, and each update stays that of the whole batch.

Batch norm alone sees the difference, because it normalises each part by itself. So the parts of a batch are not a matter of
the machine alone: a run says how many there were, and a reproduction takes as many.
"""

from __future__ import annotations

from dataclasses import dataclass

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.tracking.record import MICRO_BATCHES, MICRO_BATCHES_SINCE, RunRecord

_LEAST = 8  # images of a part on each device: the statistics of fewer are no training of the same kind


@dataclass(frozen=True)
class MicroBatches:
    """In how many parts batches pass, whatever `training.accumulate` says."""

    count: int
    since: int = 0  # epochs that were done before, in larger parts


def halved(config: TrialConfig, now: MicroBatches | None, epochs: int) -> MicroBatches | None:
    """Parts half as large; None where they would be too small.

    Args:
        now: the parts so far; None: the configuration's.
        epochs: that are done.
    """
    count = 2 * (now.count if now else config.training.accumulate)
    if config.training.batch_size < _LEAST * count * config.training.devices:
        return None
    return MicroBatches(count, epochs)


def parts_of(record: RunRecord) -> MicroBatches | None:
    """The parts that a recorded run ended with; None: the configuration's."""
    tags = record.tags
    return MicroBatches(int(tags[MICRO_BATCHES]), int(tags[MICRO_BATCHES_SINCE])) if MICRO_BATCHES in tags else None


def throughout(parts: MicroBatches | None) -> MicroBatches | None:
    """The same parts from a training's first epoch on."""
    return MicroBatches(parts.count) if parts else None


def in_parts(config: TrialConfig, parts: MicroBatches | None) -> TrialConfig:
    """The configuration that is trained; the one that is recorded stays as it is."""
    if parts is None:
        return config
    return config.model_copy(update={"training": config.training.model_copy(update={"accumulate": parts.count})})


def part_size(config: TrialConfig, parts: MicroBatches) -> int:
    """Images of a part on each device, at most."""
    return -(-config.training.batch_size // (parts.count * config.training.devices))
