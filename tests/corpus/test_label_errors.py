from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from ocr_sweep.corpus.gradients import SIZE, gradient_features
from ocr_sweep.corpus.label_errors import confident_classes, count_votes, outvoted, vote_on_labels
from ocr_sweep.corpus.out_of_fold import OutOfFold, assign_folds, out_of_fold

CHARS = "天地玄日月口國永龍書"


@pytest.fixture(scope="module")
def drawn(picture: Callable[..., Image.Image]) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """300 pictures of ten characters by 30 hands: images, labels, hands."""
    hands = range(1, 31)
    images = [255 - np.asarray(picture(char, hand, 48)) for char in CHARS for hand in hands]
    return np.stack(images), np.repeat(np.arange(len(CHARS)), 30), np.tile(np.arange(30), len(CHARS))


def made_up(probabilities: NDArray[np.float64], labels: NDArray[np.int64], neighbours: NDArray[np.int64]) -> OutOfFold:
    order = np.argsort(-probabilities, axis=1, kind="stable")
    logs = np.log(probabilities).astype(np.float32)
    own = logs[np.arange(len(labels)), labels]
    return OutOfFold(np.ones(len(labels), bool), own, order, np.take_along_axis(logs, order, axis=1), neighbours)


def test_confident_classes_are_those_of_the_paper() -> None:
    rng = np.random.default_rng(1)
    p, labels = rng.dirichlet([0.3] * 6, 200), rng.integers(0, 6, 200)
    found = confident_classes(made_up(p, labels, np.zeros((200, 10), np.int64)), labels, 6)
    threshold = [p[labels == j, j].mean() for j in range(6)]
    for i in range(200):
        able = [j for j in range(6) if p[i, j] >= threshold[j]]
        assert found[i] == (max(able, key=lambda j: p[i, j]) if able else -1)


def test_neighbours_outvote_a_label_that_is_not_among_their_commonest() -> None:
    rng = np.random.default_rng(2)
    neighbours, labels = rng.integers(-1, 4, (300, 10)), rng.integers(0, 4, 300)
    for row, label, against in zip(neighbours.tolist(), labels.tolist(), outvoted(neighbours, labels).tolist(), strict=True):
        counts = Counter(n for n in row if n >= 0)
        assert against == (max((c for n, c in counts.items() if n != label), default=0) > counts[label])


def test_a_label_is_suspect_where_two_votes_agree_and_the_most_blatant_comes_first() -> None:
    plain = [[0.9, 0.05, 0.05]] * 4
    p = np.array([*plain, [0.02, 0.97, 0.01], [0.3, 0.4, 0.3], [0.001, 0.998, 0.001], [0.02, 0.97, 0.01]])
    labels = np.array([0, 0, 0, 0, 0, 0, 0, 1])
    neighbours = np.array([[0] * 10] * 4 + [[1] * 10, [0] * 10, [1] * 10, [1] * 10])
    votes = count_votes(made_up(p, labels, neighbours), labels, 3)
    assert votes.suspects.tolist() == [6, 4]
    assert votes.predicted[[4, 6]].tolist() == [1, 1]
    assert votes.margin[6] == pytest.approx(np.log(998), rel=1e-4)


def test_what_a_model_cannot_read_it_does_not_accuse() -> None:
    p = np.array([[0.9, 0.1], [0.9, 0.1], [0.001, 0.999], [0.999, 0.001], [0.999, 0.001], [0.1, 0.9]])
    labels = np.array([0, 0, 0, 1, 1, 1])
    neighbours = np.array([[0] * 10, [0] * 10, [1] * 10, [0] * 10, [0] * 10, [1] * 10])
    votes = count_votes(made_up(p, labels, neighbours), labels, 2)
    assert votes.judged.tolist() == [True] * 3 + [False] * 3
    assert votes.suspects.tolist() == [2]


def test_groups_are_not_torn_over_folds_and_folds_are_of_one_size() -> None:
    groups = np.random.default_rng(3).integers(0, 60, 600)
    folds = assign_folds(groups, 5, seed=0)
    assert all(len(set(folds[groups == group])) == 1 for group in range(60))
    assert np.ptp(np.bincount(folds)) <= np.bincount(groups).max()


def test_features_are_shares_of_edges() -> None:
    images = np.random.default_rng(4).integers(0, 256, (5, 32, 32), dtype=np.uint8)
    features = gradient_features(images)
    assert features.shape == (5, SIZE)
    assert (features**2).sum(axis=1) == pytest.approx(1.0, abs=1e-4)
    assert not gradient_features(np.zeros((1, 48, 48), np.uint8)).any()


def test_a_model_never_sees_what_it_judges() -> None:
    """With one image of a class in its own group, nothing can be said of it."""
    rng = np.random.default_rng(5)
    labels = np.array([0] * 20 + [1] * 20 + [2, 2])
    features = (np.eye(3)[labels] + 0.1 * rng.normal(size=(42, 3))).astype(np.float32)
    groups = np.array([*range(40), 99, 99])
    found = out_of_fold(features, labels, groups, num_classes=3, seed=0)
    assert found.judged.tolist() == [True] * 40 + [False] * 2
    assert (found.top_class[:40, 0] == labels[:40]).mean() > 0.9
    assert not np.isin(found.neighbours[40:], [2]).any()


def test_flipped_labels_are_found(drawn: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]) -> None:
    images, truth, hands = drawn
    rng = np.random.default_rng(0)
    planted = rng.choice(len(truth), 15, replace=False)  # 5 %
    labels = truth.copy()
    labels[planted] = (labels[planted] + rng.integers(1, len(CHARS), 15)) % len(CHARS)
    votes = vote_on_labels(images, labels, hands, num_classes=len(CHARS))
    hits = np.intersect1d(votes.suspects, planted)
    assert len(hits) / 15 >= 0.8
    assert len(hits) / len(votes.suspects) >= 0.5
    assert (votes.predicted[hits] == truth[hits]).mean() >= 0.8
    again = vote_on_labels(images, labels, hands, num_classes=len(CHARS))
    assert again.suspects.tolist() == votes.suspects.tolist()


def test_right_labels_raise_hardly_a_suspect(drawn: tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]) -> None:
    images, truth, hands = drawn
    assert len(vote_on_labels(images, truth, hands, num_classes=len(CHARS)).suspects) <= 9  # 3 %


def test_no_scan_is_no_suspect() -> None:
    nothing = np.empty(0, np.int64)
    assert len(vote_on_labels(np.empty((0, 32, 32), np.uint8), nothing, nothing, num_classes=4).suspects) == 0
