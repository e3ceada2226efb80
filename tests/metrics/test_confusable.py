from __future__ import annotations

import numpy as np

from ocr_sweep.metrics import beats_neighbours, confusable_accuracy


def test_the_true_class_must_beat_each_of_its_neighbours_and_nobody_else() -> None:
    neighbours = np.array([[1, 2], [0, -1], [0, 1], [-1, -1]])
    logits = np.array([[3, 2, 1, 9], [3, 2, 3, 9], [1, 2, 0, 0], [1, 1, 0, 0], [5, 5, 5, 0]], np.float32)
    labels = np.array([0, 2, 1, 0, 3])
    beats = beats_neighbours(logits, labels, neighbours)
    assert beats.tolist() == [1, 0, 1, 0, -1]  # class 3 wins image 0 and is no neighbour; a tie is not won; class 3 has none
    assert confusable_accuracy(beats) == 0.5


def test_the_table_equals_a_loop() -> None:
    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(200, 12)).astype(np.float32), rng.integers(0, 12, 200)
    neighbours = np.array([[(k + 1) % 12, (k + 5) % 12, -1 if k % 3 else (k + 7) % 12] for k in range(12)])
    expected = [all(z[y] > z[j] for j in neighbours[y] if j >= 0) for z, y in zip(logits, labels, strict=True)]
    assert beats_neighbours(logits, labels, neighbours).tolist() == expected


def test_without_neighbours_there_is_no_number() -> None:
    beats = beats_neighbours(np.zeros((3, 2), np.float32), np.zeros(3, np.int64), np.full((2, 1), -1))
    assert confusable_accuracy(beats) is None
