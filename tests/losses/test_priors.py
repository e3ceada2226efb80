"""What the loss makes of how often a class comes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ocr_sweep.losses import effective_counts, effective_number_weights, label_aware_smoothing, logit_adjustment

COUNTS = np.array([500.0, 50.0, 5.0, 1.0])


def test_synthetic_images_count_for_less_and_no_class_for_nothing() -> None:
    real, synthetic = np.array([50, 0, 0, 3]), np.array([57, 57, 0, 0])
    assert effective_counts(real, synthetic, 1.0).tolist() == [107, 57, 1, 3]
    assert effective_counts(real, synthetic, 0.1) == pytest.approx([55.7, 5.7, 0.1, 3])


def test_a_smaller_worth_of_synthetic_images_shows_the_tail_of_the_real_ones() -> None:
    real, synthetic = np.array([50, 0]), np.array([57, 57])
    spread = [np.ptp(logit_adjustment("cross_entropy", effective_counts(real, synthetic, kappa), 1.0)) for kappa in (1.0, 0.03)]
    assert spread[0] == pytest.approx(math.log(107 / 57)) and spread[1] > 3


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0, 1.5])
def test_the_adjustment_is_the_log_prior_or_its_log_odds(tau: float) -> None:
    prior = COUNTS / 556
    assert logit_adjustment("cross_entropy", COUNTS, tau) == pytest.approx(tau * np.log(prior))
    assert logit_adjustment("bce", COUNTS, tau) == pytest.approx(tau * np.log(prior / (1 - prior)))


@pytest.mark.parametrize("beta", [0.9, 0.99, 0.999, 0.9999])
def test_weights_follow_the_effective_number_and_sum_to_the_classes(beta: float) -> None:
    came = effective_number_weights(COUNTS, beta)
    expected = (1 - beta) / (1 - beta**COUNTS)
    assert came == pytest.approx(expected * 4 / expected.sum()) and came.sum() == pytest.approx(4)


def test_weights_are_equal_at_beta_zero_and_inverse_counts_near_one() -> None:
    assert effective_number_weights(COUNTS, 0.0).tolist() == [1, 1, 1, 1]
    near_one = effective_number_weights(COUNTS, 1 - 1e-12)
    assert near_one == pytest.approx(4 / COUNTS / (1 / COUNTS).sum(), rel=1e-6)


def test_smoothing_goes_from_the_tail_to_the_head_along_a_sine() -> None:
    came = label_aware_smoothing(np.array([101.0, 51.0, 1.0]), head=0.3, tail=0.1)
    assert came == pytest.approx([0.3, 0.1 + 0.2 * math.sin(math.pi / 4), 0.1])
    assert label_aware_smoothing(np.full(3, 7.0), head=0.3, tail=0.1).tolist() == [0.3, 0.3, 0.3]
