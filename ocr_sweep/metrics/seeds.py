"""What the luck of the seed adds to an interval that knows only the luck of the images."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import stdtrit

from ocr_sweep.metrics.intervals import Interval


def with_seed_noise(interval: Interval, *arms: Sequence[float], level: float = 0.95) -> Interval:
    """Widen an interval by the spread over seeds of the arms that it speaks of.

    The standard error of a mean over n seeds is s / sqrt(n). Its half-width, with Student's quantile because few seeds
    say little about their own spread, is added to the interval's in quadrature. One seed says nothing of its spread:
    an arm of one seed adds nothing, and the number of seeds should stand beside the interval.

    Args:
        arms: the scores of each arm, one per seed; one arm for an accuracy, two for a difference.
    """
    repeated = [np.asarray(arm, dtype=np.float64) for arm in arms if len(arm) > 1]
    if not repeated:
        return interval
    variance = sum(float(arm.var(ddof=1)) / len(arm) for arm in repeated)
    freedom = sum(len(arm) - 1 for arm in repeated)
    half = float(stdtrit(freedom, 0.5 + level / 2)) * math.sqrt(variance)
    low = interval.value - math.hypot(interval.value - interval.low, half)
    high = interval.value + math.hypot(interval.high - interval.value, half)
    return Interval(interval.value, low, high)
