from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.training.stacking import Contest, choose_gamma, halves


def contest_of(logits: NDArray[np.floating], labels: NDArray[np.int64], num_seen: int) -> Contest:
    return Contest.of(logits, labels, np.arange(logits.shape[1]) < num_seen)


def noisy(seed: int, shift: float, num_images: int = 400, num_classes: int = 8, num_seen: int = 5) -> Contest:
    """Logits that know the class, with `shift` more for the classes that have scans."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, num_classes, num_images)
    logits = rng.normal(size=(num_images, num_classes)) + 4 * np.eye(num_classes)[labels]
    logits[:, :num_seen] += shift
    return contest_of(logits, labels, num_seen)


@pytest.mark.parametrize("planted", [-3.0, 2.0, 6.5])
def test_gamma_is_the_planted_shift(planted: float) -> None:
    """Margins of +4 and -4 around the shift: without noise the best stretch is centred on it."""
    labels = np.arange(8).repeat(5)
    logits = 4 * np.eye(8)[labels]
    logits[:, :5] += planted
    if abs(planted) > 4:
        assert choose_gamma(contest_of(logits, labels, 5)) == pytest.approx(planted)
    else:
        assert choose_gamma(contest_of(logits, labels, 5)) == 0.0, "zero is as good as any"
    found = choose_gamma(noisy(0, planted, num_images=4000))
    assert found == pytest.approx(planted, abs=0.6)


@pytest.mark.parametrize("seed", range(5))
def test_no_gamma_of_a_fine_grid_is_better(seed: int) -> None:
    contest = noisy(seed, 2.0 * seed - 3, num_images=60)
    best = max(contest.macro_accuracy(float(gamma)) for gamma in np.linspace(-15, 15, 4001))
    assert contest.macro_accuracy(choose_gamma(contest)) >= best - 1e-12


def test_gamma_weighs_classes_and_not_images() -> None:
    """Nine images of a class with scans against one of a class without: they cannot both be right, and count the same."""
    logits = np.array([[2.0, 0.0]] * 9 + [[3.0, 0.0]])
    contest = contest_of(logits, np.array([0] * 9 + [1]), 1)
    assert choose_gamma(contest) == 0.0  # (1 + 0) / 2; gamma 3.5 gives (0 + 1) / 2: no better
    kinder = contest_of(logits, np.array([0] * 8 + [1, 1]), 1)
    assert choose_gamma(kinder) == 0.0  # 1/1 + 0/2 against 0/1 + 2/2


@pytest.mark.parametrize(("logits", "label", "expected"), [([1.0, 0.0], 1, 2.0), ([0.0, 1.0], 0, -2.0)])
def test_a_stretch_without_end_is_entered_by_one(logits: list[float], label: int, expected: float) -> None:
    assert choose_gamma(contest_of(np.array([logits]), np.array([label]), 1)) == expected


def test_a_contest_predicts_what_the_shifted_logits_do() -> None:
    rng = np.random.default_rng(3)
    logits, labels = rng.normal(size=(50, 6)), rng.integers(0, 6, 50)
    seen = np.array([True, False, True, True, False, False])
    contest = Contest.of(logits, labels, seen)
    for gamma in (-1.0, 0.0, 0.7):
        assert contest.predicted(gamma).tolist() == (logits - gamma * seen).argmax(axis=1).tolist()
    parts = [Contest.of(logits[at], labels[at], seen) for at in (slice(0, 20), slice(20, 50))]
    assert Contest.joined(parts).macro_accuracy(0.7) == contest.macro_accuracy(0.7)


def test_halves_are_even_and_never_tear_a_group() -> None:
    rng = np.random.default_rng(0)
    labels, groups = rng.integers(0, 30, 900), rng.integers(0, 40, 900)
    first = halves(labels, groups)
    assert (halves(labels, groups) == first).all()
    for label in range(30):
        inside = labels == label
        for group in np.unique(groups[inside]):
            assert len(np.unique(first[inside & (groups == group)])) == 1
        largest = np.bincount(groups[inside]).max()
        assert abs(2 * first[inside].sum() - inside.sum()) <= largest
    shuffled = rng.permutation(900)
    assert (halves(labels[shuffled], groups[shuffled]) == first[shuffled]).all(), "the order of the images says nothing"


def test_classes_of_one_group_take_turns() -> None:
    assert halves(np.arange(6), np.zeros(6, np.int64)).sum() == 3
