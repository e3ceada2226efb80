"""The luck of the seed: how far another training of the same configuration would move its accuracy."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.metrics.estimates import LEVEL, Estimate


@dataclass(frozen=True)
class SeedNoise:
    """The variance of one training's accuracy over seeds."""

    variance: float
    freedom: float  # degrees of freedom; 0: nothing was trained twice, so nothing is known

    def on(self, estimate: Estimate, *num_seeds: int) -> Estimate:
        """An estimate with the luck of the seeds added.

        Args:
            num_seeds: trainings of each arm that it speaks of; one arm for an accuracy, two for a difference.
        """
        if not self.freedom:
            return estimate
        return estimate.with_noise(self.variance * sum(1.0 / number for number in num_seeds), self.freedom)

    def between_two(self) -> float:
        """How far two trainings of one configuration lie apart at most in 95 of 100 cases; infinity: nothing is known.

        Student's t times the spread of a difference of two, the square root of twice the variance.
        """
        if not self.freedom:
            return math.inf
        difference = Estimate(0.0, 2.0 * self.variance, self.freedom, images=0.0)
        return difference.quantile((1.0 - LEVEL) / 2.0) * difference.error


def seed_noise(arms: Sequence[Sequence[float]]) -> SeedNoise:
    """Pool the spread over seeds of several arms: two or three seeds each say little, all of them together more.

    Args:
        arms: the scores of each arm, one per training.
    """
    repeated = [np.asarray(arm, dtype=np.float64) for arm in arms if len(arm) > 1]
    freedom = sum(len(arm) - 1 for arm in repeated)
    squares = sum(float(((arm - arm.mean()) ** 2).sum()) for arm in repeated)
    return SeedNoise(squares / freedom if freedom else 0.0, float(freedom))


def seed_noise_of_rounds(scores: NDArray[np.float64]) -> SeedNoise:
    """The same where every round judges images of its own, as folds do: what a round does to all arms is taken out first.

    Args:
        scores: (A, R) of each arm in each round; NaN where it has none.
    """
    arm, turn = np.nonzero(~np.isnan(scores))
    design = np.concatenate([np.eye(scores.shape[0])[arm], np.eye(scores.shape[1])[turn]], axis=1)
    found, _, rank, _ = np.linalg.lstsq(design, scores[arm, turn], rcond=None)
    freedom = len(arm) - int(rank)
    squares = float(((scores[arm, turn] - design @ found) ** 2).sum())
    return SeedNoise(squares / freedom if freedom else 0.0, float(freedom))
