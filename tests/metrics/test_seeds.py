import numpy as np
import pytest

from ocr_sweep.metrics import Estimate, SeedNoise, seed_noise, seed_noise_of_rounds

KNOWN = Estimate(0.9, 1e-12, 1e6, 1e9)


def test_one_seed_says_nothing_of_its_spread() -> None:
    assert seed_noise([[0.9], [0.8]]) == SeedNoise(0.0, 0.0)
    assert seed_noise([[0.9]]).on(KNOWN, 1) == KNOWN


def test_arms_say_together_how_much_a_seed_is_worth() -> None:
    noise = seed_noise([[0.90, 0.92], [0.80, 0.82, 0.84], [0.5]])
    assert noise.freedom == 3
    assert noise.variance == pytest.approx((0.0002 + 0.0008) / 3)


def test_a_mean_over_seeds_moves_less_and_a_difference_by_both_arms() -> None:
    noise = SeedNoise(4e-4, 6.0)
    assert noise.on(KNOWN, 4).variance == pytest.approx(1e-4, rel=1e-6)
    assert noise.on(KNOWN, 4, 2).variance == pytest.approx(3e-4, rel=1e-6)
    assert noise.on(KNOWN, 4).freedom == pytest.approx(6.0, rel=1e-3)


@pytest.mark.parametrize("num_seeds", [2, 3, 5])
def test_the_interval_of_a_mean_over_few_seeds_covers_its_truth(num_seeds: int) -> None:
    rng = np.random.default_rng(0)
    hits = 0
    for scores in rng.normal(0.9, 0.01, size=(2000, num_seeds)):
        found = seed_noise([scores.tolist()]).on(Estimate(float(scores.mean()), 1e-12, 1e6, 1e9), num_seeds).interval()
        hits += found.low <= 0.9 <= found.high
    assert 0.93 <= hits / 2000 <= 0.97


def test_rounds_of_their_own_images_are_taken_out_first() -> None:
    rng = np.random.default_rng(0)
    rounds, luck = rng.normal(0, 0.05, 4), rng.normal(0, 0.01, (500, 3, 4))
    found = [seed_noise_of_rounds(0.9 + np.array([[0.0], [0.02], [0.05]]) + rounds + one) for one in luck]
    assert {noise.freedom for noise in found} == {6.0}
    assert np.mean([noise.variance for noise in found]) == pytest.approx(1e-4, rel=0.05)


def test_an_arm_that_left_a_round_early_still_counts() -> None:
    scores = np.array([[0.9, 0.8, 0.7], [0.91, 0.81, np.nan]])
    assert seed_noise_of_rounds(scores) == SeedNoise(pytest.approx(0.0, abs=1e-20), 1.0)
