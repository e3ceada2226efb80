from __future__ import annotations

from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray

from ocr_sweep.errors import DataError
from ocr_sweep.metrics import Interval, cluster_bootstrap, paired_difference


def _world(rng: np.random.Generator, num_classes: int, per_class: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Characters differ in difficulty (Beta(8, 2), mean 0.8); images of one share it."""
    difficulty = rng.beta(8.0, 2.0, size=num_classes)
    clusters = np.repeat(np.arange(num_classes), per_class)
    return (rng.random(len(clusters)) < difficulty[clusters]).astype(np.float64), clusters


@pytest.mark.parametrize("macro", [False, True])
def test_interval_covers_the_truth_in_a_clustered_world(macro: bool) -> None:
    rng = np.random.default_rng(0)
    covered, too_narrow = 0, 0
    for world in range(300):
        correct, clusters = _world(rng, num_classes=40, per_class=20)
        found = cluster_bootstrap(correct, clusters, macro=macro, num_resamples=400, seed=world)
        covered += found.low <= 0.8 <= found.high
        alone = cluster_bootstrap(correct, np.arange(len(correct)), macro=macro, num_resamples=400, seed=world)
        too_narrow += not alone.low <= 0.8 <= alone.high
    assert covered / 300 >= 0.92
    assert too_narrow / 300 >= 0.12  # images taken as independent would promise far too much


def test_interval_agrees_with_wilson_when_images_are_independent() -> None:
    correct = np.repeat([1.0, 0.0], [180, 20])
    found = cluster_bootstrap(correct, np.arange(200), macro=False, num_resamples=20_000)
    assert found.value == pytest.approx(0.9)
    assert [found.low, found.high] == pytest.approx([0.8506, 0.9344], abs=0.008)


@pytest.mark.parametrize("macro", [False, True])
def test_all_right_of_twenty_is_wilson_and_not_certainty(macro: bool) -> None:
    found = cluster_bootstrap(np.ones(20), np.arange(20), macro=macro)
    assert (found.value, found.high) == (1.0, 1.0)
    assert found.low == pytest.approx(0.8389, abs=1e-4)  # Wilson 1927 for 20 of 20


def test_one_class_is_judged_by_its_images() -> None:
    found = cluster_bootstrap(np.array([1.0, 0.0] * 50), np.zeros(100, dtype=np.int64), macro=True)
    assert [found.low, found.high] == pytest.approx([0.4038, 0.5962], abs=1e-4)


def test_macro_is_the_mean_of_class_means() -> None:
    correct, clusters = np.array([1.0, 1.0, 1.0, 0.0]), np.array([4, 4, 4, 9])
    assert cluster_bootstrap(correct, clusters, macro=True).value == 0.5
    assert cluster_bootstrap(correct, clusters, macro=False).value == 0.75


def test_pairing_is_narrower_than_two_intervals() -> None:
    rng = np.random.default_rng(3)
    a, clusters = _world(rng, num_classes=100, per_class=20)
    b = np.where(rng.random(len(a)) < 0.05, 1.0 - a, a)
    paired = paired_difference(a, b, clusters, macro=True)
    alone_a, alone_b = cluster_bootstrap(a, clusters, macro=True), cluster_bootstrap(b, clusters, macro=True)
    unpaired = np.hypot(alone_a.high - alone_a.low, alone_b.high - alone_b.low)
    assert paired.high - paired.low < 0.6 * unpaired
    assert paired.value == pytest.approx(alone_a.value - alone_b.value)


def test_equal_arms_differ_by_nothing_but_not_for_certain() -> None:
    correct = np.ones(20)
    found = paired_difference(correct, correct, np.arange(20), macro=False)
    assert found.value == 0.0
    assert found.high == -found.low == pytest.approx(1.96 * np.sqrt(2 / 22 / 22), abs=1e-4)  # Bonett & Price with no discordance


def test_null_arms_are_rarely_told_apart() -> None:
    rng = np.random.default_rng(5)
    told_apart = 0
    for world in range(300):
        a, clusters = _world(rng, num_classes=40, per_class=10)
        b = np.where(rng.random(len(a)) < 0.1, rng.random(len(a)) < a.mean(), a).astype(np.float64)
        a = np.where(rng.random(len(a)) < 0.1, rng.random(len(a)) < a.mean(), a).astype(np.float64)
        found = paired_difference(a, b, clusters, macro=True, num_resamples=400, seed=world)
        told_apart += found.low > 0 or found.high < 0
    assert told_apart / 300 <= 0.07


def test_difference_changes_sign_with_the_arms() -> None:
    rng = np.random.default_rng(1)
    a, clusters = _world(rng, 30, 10)
    b, _ = _world(rng, 30, 10)
    there, back = paired_difference(a, b, clusters, macro=True), paired_difference(b, a, clusters, macro=True)
    assert (there.value, there.low, there.high) == pytest.approx((-back.value, -back.high, -back.low))


def test_means_over_seeds_are_welcome() -> None:
    found = cluster_bootstrap(np.array([1.0, 0.5, 0.5, 0.0]), np.array([0, 0, 1, 1]), macro=True)
    assert found.value == 0.5
    assert 0.0 <= found.low < 0.5 < found.high <= 1.0


def test_same_seed_equal_bits_and_fast_enough() -> None:
    correct, clusters = _world(np.random.default_rng(2), num_classes=200, per_class=20)
    start = perf_counter()
    first = cluster_bootstrap(correct, clusters, macro=True, seed=9)
    assert perf_counter() - start < 0.25  # 5 ms alone; the machine may be busy
    assert first == cluster_bootstrap(correct, clusters, macro=True, seed=9)
    assert first != cluster_bootstrap(correct, clusters, macro=True, seed=10)


def test_unpaired_images_are_an_error() -> None:
    with pytest.raises(DataError, match=r"the same images, but got \(3,\) and \(2,\)"):
        paired_difference(np.ones(3), np.ones(2), np.arange(3), macro=False)


def test_no_image_is_an_error() -> None:
    with pytest.raises(DataError, match="at least one image, but got none"):
        cluster_bootstrap(np.array([]), np.array([], dtype=np.int64), macro=False)


def test_an_accuracy_is_never_above_one_however_much_its_seeds_differ() -> None:
    assert Interval(0.99, 0.95, 1.03).as_share() == Interval(0.99, 0.95, 1.0)
    assert Interval(0.01, -0.02, 0.04).as_share() == Interval(0.01, 0.0, 0.04)
