import math

import pytest
from scipy.stats import t

from ocr_sweep.metrics import Estimate


def estimate(value: float = 0.9, variance: float = 1e-4, freedom: float = 20.0, images: float = 1e9) -> Estimate:
    return Estimate(value, variance, freedom, images)


def test_an_interval_is_students() -> None:
    found = estimate().interval()
    assert (found.low, found.high) == pytest.approx((0.9 - t.ppf(0.975, 20) * 0.01, 0.9 + t.ppf(0.975, 20) * 0.01))


def test_two_accuracies_differ_by_no_more_than_all() -> None:
    found = estimate(value=-0.1, variance=1.0, freedom=1.0).interval(1e-5)
    assert (found.low, found.high) == (-1.0, 1.0)


def test_a_source_of_variance_more_adds_its_variance_and_welchs_degrees() -> None:
    noisy = estimate().with_noise(4e-4, 3.0)
    assert noisy.variance == pytest.approx(5e-4)
    assert noisy.freedom == pytest.approx(5e-4**2 / (1e-4**2 / 20 + 4e-4**2 / 3))
    assert estimate(freedom=math.inf).with_noise(4e-4, 3.0).freedom == pytest.approx(25 / 16 * 3)
    assert estimate().with_noise(0.0, 3.0) == estimate()


def test_a_share_never_leaves_what_a_share_can_be() -> None:
    for value in (0.0, 0.001, 0.5, 0.999, 1.0):
        found = estimate(value, variance=0.01, images=50.0).share()
        assert 0.0 <= found.low <= value <= found.high <= 1.0


def test_a_share_is_wilsons_interval_at_the_number_of_independent_images() -> None:
    found = Estimate(0.8, 0.8 * 0.2 / 100, math.inf, 1000.0).share()
    assert (found.low, found.high) == pytest.approx((0.7112, 0.8666), abs=1e-4)  # Wilson for 80 of 100


def test_who_was_chosen_from_many_may_be_flattered_by_its_own_luck_alone() -> None:
    plain = estimate().share()
    shared, half, own = (estimate().share(chosen_from=5, own_variance=part * 1e-4) for part in (0.0, 0.5, 1.0))
    assert shared == plain
    assert own.low < half.low < plain.low and own.high == plain.high
    assert own.low == pytest.approx(estimate().share(0.005).low)
