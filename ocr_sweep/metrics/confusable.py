"""Accuracy among look-alikes: whether the true character beats those that it is easily taken for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def beats_neighbours(logits: NDArray[np.float32], labels: NDArray[np.int64], neighbours: NDArray[np.integer]) -> NDArray[np.int8]:
    """(N,) 1 where the true class has a higher logit than each of its neighbours, 0 where not, -1 where it has none.

    Args:
        logits: (N, K).
        labels: (N,).
        neighbours: (K, k) the classes that look most like each class, -1 where there are fewer.
    """
    rows = np.arange(len(labels))
    near = neighbours[labels]  # (N, k)
    rivals = np.where(near >= 0, logits[rows[:, None], near], -np.inf)
    beats = logits[rows, labels] > rivals.max(axis=1, initial=-np.inf)
    return np.where((near >= 0).any(axis=1), beats, -1).astype(np.int8)


def confusable_accuracy(beats: NDArray[np.int8]) -> float | None:
    """Share of the images whose class beats all its neighbours, among those whose class has any; None without such.

    Args:
        beats: (N,) what `beats_neighbours` gave.
    """
    known = beats >= 0
    return float(np.mean(beats[known] == 1)) if known.any() else None
