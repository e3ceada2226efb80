from __future__ import annotations

import numpy as np
import pytest

from ocr_sweep.errors import DataError
from ocr_sweep.metrics import accuracy, confused_pairs, group_accuracies, macro_accuracy

LABELS = np.array([0, 0, 0, 0, 1, 1, 3])
PREDICTED = np.array([0, 0, 0, 1, 1, 0, 2])


def test_accuracy_counts_images() -> None:
    assert accuracy(LABELS, PREDICTED) == pytest.approx(4 / 7)


def test_macro_accuracy_counts_classes_that_are_present() -> None:
    # Class 2 has no image: it is not a class of accuracy 0.
    assert macro_accuracy(LABELS, PREDICTED) == pytest.approx((3 / 4 + 1 / 2 + 0) / 3)


def test_groups_follow_the_real_training_images() -> None:
    found = group_accuracies(LABELS, PREDICTED, np.array([101, 100, 0, 0]))
    assert found == {"unseen": 0.0, "medium": 0.5, "many": 0.75}
    assert list(found) == ["unseen", "medium", "many"]


def test_group_borders() -> None:
    labels = np.arange(6)
    found = group_accuracies(labels, np.array([0, 1, 9, 3, 9, 5]), np.array([0, 1, 19, 20, 100, 101]))
    assert found == {"unseen": 1.0, "few": 0.5, "medium": 0.5, "many": 1.0}


def test_confused_pairs_are_ordered_and_cut() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    predicted = np.array([1, 1, 0, 1, 0, 0, 0])
    assert confused_pairs(labels, predicted, 5) == [(2, 0, 3), (0, 1, 2), (1, 0, 1)]
    assert confused_pairs(labels, predicted, 1) == [(2, 0, 3)]


def test_no_mistake_no_pair() -> None:
    assert confused_pairs(LABELS, LABELS, 3) == []


def test_no_image_is_an_error() -> None:
    empty = np.array([], dtype=np.int64)
    with pytest.raises(DataError, match="at least one image, but got none"):
        macro_accuracy(empty, empty)


def test_other_lengths_are_an_error() -> None:
    with pytest.raises(DataError, match=r"both be \(N,\), but got \(7,\) and \(6,\)"):
        accuracy(LABELS, PREDICTED[:6])
