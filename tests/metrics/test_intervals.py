from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.errors import DataError
from ocr_sweep.metrics import Clusters, Estimate, accuracy_estimate, difference_estimate

Floats = NDArray[np.floating]
Ints = NDArray[np.integer]


def accuracy_of(correct: Floats, classes: Ints, groups: Ints | None = None, *, macro: bool) -> Estimate:
    return accuracy_estimate(correct, Clusters.of(classes, groups), macro=macro)


def difference_of(a: Floats, b: Floats, classes: Ints, *, macro: bool) -> Estimate:
    return difference_estimate(a, b, Clusters.of(classes), macro=macro)


def _world(rng: np.random.Generator, num_classes: int, per_class: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Characters differ in difficulty (Beta(8, 2), mean 0.8); images of one share it."""
    difficulty = rng.beta(8.0, 2.0, size=num_classes)
    clusters = np.repeat(np.arange(num_classes), per_class)
    return (rng.random(len(clusters)) < difficulty[clusters]).astype(np.float64), clusters


@pytest.mark.parametrize("macro", [False, True])
def test_interval_covers_the_truth_in_a_clustered_world(macro: bool) -> None:
    rng = np.random.default_rng(0)
    covered, too_narrow = 0, 0
    for _ in range(300):
        correct, clusters = _world(rng, num_classes=40, per_class=20)
        found = accuracy_of(correct, clusters, macro=macro).share()
        covered += found.low <= 0.8 <= found.high
        alone = accuracy_of(correct, np.arange(len(correct)), macro=macro).share()
        too_narrow += not alone.low <= 0.8 <= alone.high
    assert 0.93 <= covered / 300 <= 0.98
    assert too_narrow / 300 >= 0.12  # images taken as independent would promise far too much


@pytest.mark.parametrize("num_writers", [8, 60])
def test_interval_covers_the_truth_where_writers_differ_as_well(num_writers: int) -> None:
    rng = np.random.default_rng(1)
    covered, by_class = 0, 0
    for _ in range(300):
        classes = np.repeat(np.arange(40), 20)
        writers = rng.integers(0, num_writers, 800)
        spread = rng.normal(0, 0.05, 40)[classes] + rng.normal(0, 0.08, num_writers)[writers]
        correct = (rng.random(800) < np.clip(0.8 + spread, 0, 1)).astype(np.float64)
        found = [accuracy_of(correct, classes, groups, macro=True).share() for groups in (writers, None)]
        covered += found[0].low <= 0.8 <= found[0].high
        by_class += found[1].low <= 0.8 <= found[1].high
    assert covered / 300 >= 0.93
    assert by_class < covered - 10, "classes alone promise too much"


def test_a_group_of_its_own_for_each_image_changes_nothing() -> None:
    correct, classes = _world(np.random.default_rng(4), 30, 10)
    alone = accuracy_of(correct, classes, np.arange(300)[::-1], macro=True)
    without = accuracy_of(correct, classes, macro=True)
    assert (alone.value, alone.variance, alone.freedom) == pytest.approx((without.value, without.variance, without.freedom))


def test_few_writers_say_little_and_one_writer_nothing_of_others() -> None:
    rng = np.random.default_rng(2)
    correct, classes = _world(rng, 40, 20)
    two = accuracy_of(correct, classes, np.arange(800) % 2, macro=True)
    assert two.freedom >= 1.0
    one = accuracy_of(correct, classes, np.zeros(800, np.int64), macro=True)
    assert one.variance == pytest.approx(accuracy_of(correct, classes, macro=True).variance)


def test_interval_agrees_with_wilson_when_images_are_independent() -> None:
    correct = np.repeat([1.0, 0.0], [180, 20])
    found = accuracy_of(correct, np.arange(200), macro=False).share()
    assert found.value == pytest.approx(0.9)
    assert [found.low, found.high] == pytest.approx([0.8506, 0.9344], abs=0.001)


@pytest.mark.parametrize("macro", [False, True])
def test_all_right_of_twenty_is_wilson_and_not_certainty(macro: bool) -> None:
    found = accuracy_of(np.ones(20), np.arange(20), macro=macro).share()
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.8389, abs=1e-3)  # Wilson 1927 for 20 of 20


def test_one_class_is_judged_by_its_images() -> None:
    found = accuracy_of(np.array([1.0, 0.0] * 50), np.zeros(100, dtype=np.int64), macro=True).share()
    assert [found.low, found.high] == pytest.approx([0.4038, 0.5962], abs=1e-4)


def test_macro_is_the_mean_of_class_means() -> None:
    correct, clusters = np.array([1.0, 1.0, 1.0, 0.0]), np.array([4, 4, 4, 9])
    assert accuracy_of(correct, clusters, macro=True).value == 0.5
    assert accuracy_of(correct, clusters, macro=False).value == 0.75


def test_the_variance_is_that_of_the_class_means() -> None:
    correct, classes = _world(np.random.default_rng(6), 25, 8)
    means = correct.reshape(25, 8).mean(axis=1)
    found = accuracy_of(correct, classes, macro=True)
    assert found.variance == pytest.approx(means.var(ddof=1) / 25)
    assert found.freedom == pytest.approx(24)


def test_pairing_is_narrower_than_two_intervals() -> None:
    rng = np.random.default_rng(3)
    a, clusters = _world(rng, num_classes=100, per_class=20)
    b = np.where(rng.random(len(a)) < 0.05, 1.0 - a, a)
    paired = difference_of(a, b, clusters, macro=True)
    alone_a, alone_b = accuracy_of(a, clusters, macro=True), accuracy_of(b, clusters, macro=True)
    assert paired.error < 0.6 * math.hypot(alone_a.error, alone_b.error)
    assert paired.value == pytest.approx(alone_a.value - alone_b.value)


def test_equal_arms_differ_by_nothing_but_not_for_certain() -> None:
    correct = np.ones(20)
    found = difference_of(correct, correct, np.arange(20), macro=False).interval()
    assert found.value == 0.0
    assert found.high == -found.low == pytest.approx(1.96 * np.sqrt(2 / 22 / 22), abs=1e-4)  # Bonett & Price with no discordance


def test_null_arms_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(5)
    told_apart = 0
    for _ in range(300):
        a, clusters = _world(rng, num_classes=40, per_class=10)
        b = np.where(rng.random(len(a)) < 0.1, rng.random(len(a)) < a.mean(), a).astype(np.float64)
        a = np.where(rng.random(len(a)) < 0.1, rng.random(len(a)) < a.mean(), a).astype(np.float64)
        found = difference_of(a, b, clusters, macro=True).interval()
        told_apart += found.low > 0 or found.high < 0
    assert told_apart / 300 <= 0.07


def test_difference_changes_sign_with_the_arms() -> None:
    rng = np.random.default_rng(1)
    a, clusters = _world(rng, 30, 10)
    b, _ = _world(rng, 30, 10)
    there = difference_of(a, b, clusters, macro=True).interval()
    back = difference_of(b, a, clusters, macro=True).interval()
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_unpaired_images_are_an_error() -> None:
    with pytest.raises(DataError, match=r"the same images, but got \(3,\) and \(2,\)"):
        difference_of(np.ones(3), np.ones(2), np.arange(3), macro=False)


def test_groups_of_other_images_are_an_error() -> None:
    with pytest.raises(DataError, match=r"must both be \(N,\), but got \(3,\) and \(4,\)"):
        accuracy_of(np.ones(3), np.arange(3), np.arange(4), macro=False)


def test_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="at least one image, but got none"):
        accuracy_of(np.array([]), np.array([], dtype=np.int64), macro=False)


def test_single_images_bring_what_is_left_when_classes_are_as_they_are() -> None:
    rng = np.random.default_rng(0)
    classes = np.repeat(np.arange(40), 25)
    difficulty = rng.uniform(0.5, 0.9, 40)[classes]
    clusters = Clusters.of(classes)
    means = [clusters.mean(rng.random(1000) < difficulty, macro=True) for _ in range(400)]
    found = np.mean([clusters.variance_within((rng.random(1000) < difficulty).astype(float), macro=True) for _ in range(20)])
    assert found == pytest.approx(np.var(means), rel=0.15)
