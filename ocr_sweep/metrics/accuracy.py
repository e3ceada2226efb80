"""Accuracy over images, over classes, over class groups, and the pairs of characters that get mixed up."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.errors import DataError
from ocr_sweep.store import CLASS_GROUPS, class_group


def accuracy(labels: NDArray[np.integer], predicted: NDArray[np.integer]) -> float:
    """Share of the images that are read right.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.

    Raises:
        DataError: there is no image, or the two differ in length.
    """
    _check(labels, predicted)
    return float(np.mean(labels == predicted))


def macro_accuracy(labels: NDArray[np.integer], predicted: NDArray[np.integer]) -> float:
    """Mean over the classes present in `labels` of the share of their images that is read right.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.

    Raises:
        DataError: there is no image, or the two differ in length.
    """
    _check(labels, predicted)
    _, per_class = _class_accuracies(labels, predicted)
    return float(np.mean(per_class))


def group_accuracies(
    labels: NDArray[np.integer], predicted: NDArray[np.integer], real_counts: NDArray[np.integer]
) -> dict[str, float]:
    """Macro accuracy within each class group (unseen, few, medium, many) that `labels` holds, in that order.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
        real_counts: (K,) scanned training images per class.

    Raises:
        DataError: there is no image, or the two differ in length.
    """
    _check(labels, predicted)
    classes, per_class = _class_accuracies(labels, predicted)
    groups = np.array([class_group(int(count)) for count in real_counts[classes]])
    return {name: float(np.mean(per_class[groups == name])) for name in CLASS_GROUPS if np.any(groups == name)}


def confused_pairs(labels: NDArray[np.integer], predicted: NDArray[np.integer], top: int) -> list[tuple[int, int, int]]:
    """The `top` most frequent mistakes as (label, predicted, count), most frequent first, then by class.

    Args:
        labels: (N,) true classes.
        predicted: (N,) predicted classes.
    """
    wrong = labels != predicted
    pairs, counts = np.unique(np.stack([labels[wrong], predicted[wrong]], axis=1), axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:top]
    return [(int(pairs[i, 0]), int(pairs[i, 1]), int(counts[i])) for i in order]


def _class_accuracies(
    labels: NDArray[np.integer], predicted: NDArray[np.integer]
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The classes present, ascending, and the accuracy of each."""
    classes, inverse = np.unique(labels, return_inverse=True)
    hits = np.bincount(inverse, weights=labels == predicted)
    return classes.astype(np.int64), hits / np.bincount(inverse)


def _check(labels: NDArray[np.integer], predicted: NDArray[np.integer]) -> None:
    if labels.shape != predicted.shape or labels.ndim != 1:
        raise DataError(f"labels and predicted must both be (N,), but got {labels.shape} and {predicted.shape}")
    if labels.size == 0:
        raise DataError("an accuracy needs at least one image, but got none; give the set a larger share of the corpus")
