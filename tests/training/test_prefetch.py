"""Batches made ahead: the same batches, in whatever order they are asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest
import torch

from ocr_sweep.errors import DataError
from ocr_sweep.training.feed import Batch
from ocr_sweep.training.prefetch import Prefetch

PER_EPOCH, EPOCHS = 4, 3


class Numbers:
    """Batches whose label is their place; remembers who made which."""

    batches_per_epoch = PER_EPOCH

    def __init__(self, broken: tuple[int, int] | None = None) -> None:
        self.made: list[tuple[int, int]] = []
        self.threads: set[str] = set()
        self._broken = broken

    def batch(self, epoch: int, number: int) -> Batch:
        if (epoch, number) == self._broken:
            raise DataError("torn")
        self.made.append((epoch, number))
        self.threads.add(threading.current_thread().name)
        return Batch(torch.zeros(1), torch.zeros(1), torch.tensor([epoch * 10 + number]))


@pytest.fixture
def prefetch() -> Iterator[tuple[Numbers, Prefetch]]:
    numbers = Numbers()
    prefetch = Prefetch(numbers, EPOCHS, torch.device("cpu"))
    yield numbers, prefetch
    prefetch.close()


def test_each_batch_comes_once_in_order_from_one_thread(prefetch: tuple[Numbers, Prefetch]) -> None:
    numbers, ahead = prefetch
    places = [(epoch, number) for epoch in range(EPOCHS) for number in range(PER_EPOCH)]
    assert [int(ahead.batch(*place).labels) for place in places] == [10 * epoch + number for epoch, number in places]
    assert numbers.made == places and len(numbers.threads) == 1 and threading.current_thread().name not in numbers.threads


def test_the_next_three_are_made_ahead_over_the_border_of_an_epoch(prefetch: tuple[Numbers, Prefetch]) -> None:
    numbers, ahead = prefetch
    ahead.batch(0, 2)
    ahead.close()
    assert set(numbers.made) <= {(0, 2), (0, 3), (1, 0), (1, 1)} and (0, 2) in numbers.made


def test_a_training_may_begin_anywhere(prefetch: tuple[Numbers, Prefetch]) -> None:
    _, ahead = prefetch
    assert [int(ahead.batch(*place).labels) for place in ((2, 1), (0, 0), (0, 1), (2, 3))] == [21, 0, 1, 23]


def test_what_goes_wrong_is_raised_where_the_batch_is_asked_for() -> None:
    ahead = Prefetch(Numbers(broken=(0, 2)), EPOCHS, torch.device("cpu"))
    assert int(ahead.batch(0, 0).labels) == 0 and int(ahead.batch(0, 1).labels) == 1
    with pytest.raises(DataError, match="torn"):
        ahead.batch(0, 2)
    ahead.close()
