"""Where a training stands, and what its losses were."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass, field

import torch
from torch import Tensor

from ocr_sweep.errors import TrialFailedError

_GAIN = 0.0005  # an epoch gains when validation rises by more than 0.05 points


@dataclass
class Progress:
    """Where a training stands; plain values, so that a checkpoint can hold it."""

    epoch: int = 0  # epochs completed
    batch: int = 0  # batches done in the epoch in progress
    step: int = 0  # optimiser updates done
    loss_sum: float = 0.0  # over the batches of the epoch in progress
    best_epoch: int = 0
    best_score: float = -1.0
    stale_epochs: int = 0  # epochs since validation gained
    seconds: float = 0.0  # spent in training, over all sessions
    peak_mb: float = 0.0  # most memory used, over all sessions
    history: list[dict[str, float]] = field(default_factory=list)

    def judge(self, value: float) -> bool:
        """Take in validation's verdict on the epoch just completed; True when it is the best so far."""
        self.stale_epochs = 0 if value > self.best_score + _GAIN else self.stale_epochs + 1
        if value <= self.best_score:
            return False
        self.best_score, self.best_epoch = value, self.epoch
        return True


class LossLog:
    """Reads the losses of the steps, and ends the trial at the first that is not finite.

    A GPU's loss is read one step late, from a copy that travels by itself, so that no step waits for the device.

    Attributes:
        values: the losses read so far, of all sessions; each is a float32.
    """

    def __init__(self) -> None:
        self.values: list[float] = []
        self._unread: deque[tuple[int, Tensor, torch.cuda.Event | None]] = deque()

    def add(self, step: int, loss: Tensor) -> float:
        """Note the loss of a step, a scalar tensor; the sum of those read now.

        Raises:
            TrialFailedError: one of these is not finite.
        """
        if not loss.is_cuda:
            self._unread.append((step, loss, None))
            return self._read(keep=0)
        copy, arrived = torch.empty((), pin_memory=True), torch.cuda.Event()
        copy.copy_(loss, non_blocking=True)
        arrived.record(torch.cuda.current_stream(loss.device))
        self._unread.append((step, copy, arrived))
        return self._read(keep=1)

    def settle(self) -> float:
        """The sum of all losses not read so far.

        Raises:
            TrialFailedError: one of these is not finite.
        """
        return self._read(keep=0)

    def _read(self, keep: int) -> float:
        total = 0.0
        while len(self._unread) > keep:
            step, loss, arrived = self._unread.popleft()
            if arrived:
                arrived.synchronize()
            value = float(loss)
            if not math.isfinite(value):
                raise TrialFailedError(f"nan-loss: the loss must stay finite, but is {value} at step {step}")
            self.values.append(value)
            total += value
        return total
