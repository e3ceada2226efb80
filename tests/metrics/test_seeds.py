import math

import numpy as np
import pytest

from ocr_sweep.metrics import Interval, with_seed_noise


def test_one_seed_says_nothing_of_its_spread() -> None:
    interval = Interval(0.9, 0.88, 0.93)
    assert with_seed_noise(interval, [0.9]) == interval


def test_equal_seeds_add_nothing() -> None:
    wide = with_seed_noise(Interval(0.9, 0.88, 0.93), [0.9, 0.9, 0.9])
    assert (wide.low, wide.high) == pytest.approx((0.88, 0.93))


def test_two_arms_of_two_seeds_add_student_with_two_degrees_of_freedom() -> None:
    half = 4.302653 * math.sqrt(0.0002 / 2 + 0.0002 / 2)  # t(0.975, 2) and the variances of the two means
    wide = with_seed_noise(Interval(0.1, 0.07, 0.12), [0.90, 0.92], [0.80, 0.82])
    assert wide.low == pytest.approx(0.1 - math.hypot(0.03, half), abs=1e-6)
    assert wide.high == pytest.approx(0.1 + math.hypot(0.02, half), abs=1e-6)


def test_the_interval_of_a_mean_over_seeds_covers_its_truth() -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for scores in rng.normal(0.9, 0.01, size=(2000, 3)):
        interval = with_seed_noise(Interval(scores.mean(), scores.mean(), scores.mean()), scores.tolist())
        hits += interval.low <= 0.9 <= interval.high
    assert 0.93 <= hits / 2000 <= 0.97
