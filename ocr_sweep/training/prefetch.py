"""Batches made ahead, so that a GPU never waits for them."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

import torch

from ocr_sweep.training.feed import Batch

_AHEAD = 3  # batches that may lie ready


class Batches(Protocol):
    """What gives batches by their place alone."""

    @property
    def batches_per_epoch(self) -> int:
        """Batches in an epoch."""

    def batch(self, epoch: int, number: int) -> Batch:
        """Return batch `number` (from 0) of an epoch (from 0)."""


class Prefetch:
    """The batches of a feed, the next few of which a thread makes while the device works.

    A batch depends on its place alone, so it is the same whether it was made ahead or not. On a GPU the thread works on a
    stream of its own beside the training's.
    """

    def __init__(self, feed: Batches, num_epochs: int, device: torch.device) -> None:
        self._feed = feed
        self._num_epochs = num_epochs
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="batches")
        self._coming: dict[tuple[int, int], Future[Batch]] = {}

    @property
    def batches_per_epoch(self) -> int:
        """Batches in an epoch."""
        return self._feed.batches_per_epoch

    def batch(self, epoch: int, number: int) -> Batch:
        """Return batch `number` (from 0) of an epoch (from 0), and have those after it made."""
        wanted = list(self._from(epoch, number))
        self._coming = {place: future for place, future in self._coming.items() if place in wanted}
        for place in wanted:
            if place not in self._coming:
                self._coming[place] = self._thread.submit(self._make, *place)
        batch = self._coming.pop((epoch, number)).result()
        return self._handed_over(batch) if self._stream else batch

    def close(self) -> None:
        """Make nothing more."""
        self._thread.shutdown(wait=True, cancel_futures=True)
        self._coming.clear()

    def _from(self, epoch: int, number: int) -> Iterator[tuple[int, int]]:
        """A place and the next few after it, over the borders of epochs, to the end of the training."""
        first, per_epoch = epoch * self.batches_per_epoch + number, self.batches_per_epoch
        for place in range(first, min(first + 1 + _AHEAD, self._num_epochs * per_epoch)):
            yield divmod(place, per_epoch)

    def _make(self, epoch: int, number: int) -> Batch:
        if self._stream is None:
            return self._feed.batch(epoch, number)
        with torch.cuda.stream(self._stream):
            batch = self._feed.batch(epoch, number)
        self._stream.synchronize()  # this thread may wait: the training's stream works on
        return batch

    def _handed_over(self, batch: Batch) -> Batch:
        """Keep the memory of a batch until the stream that trains on it is done with it."""
        for tensor in (batch.images, batch.clean, batch.labels, batch.whole):
            if tensor is not None:
                tensor.record_stream(torch.cuda.current_stream(tensor.device))
        return batch
