"""Estimates that know how far they can be trusted: a value, its variance, and what that variance rests on.

References:
    Welch, The generalization of Student's problem when several different population variances are involved,
    Biometrika 34 (1947); Satterthwaite, Biometrics Bulletin 2 (1946): the degrees of freedom of a sum of variances.
    Wilson, Probable inference, JASA 22 (1927).
    Korn & Graubard, Confidence intervals for proportions with small expected number of positive counts estimated from
    survey data, Survey Methodology 24 (1998): Wilson's interval for clustered images, by the number of independent ones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from scipy.special import stdtrit

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number and the interval that holds its true value with the stated confidence; low <= value <= high."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Estimate:
    """A mean over images, and how far another draw of images, or of seeds, would move it."""

    value: float
    variance: float  # of the value
    freedom: float  # degrees of freedom of the variance; infinity where it is known
    images: float  # that would carry the same binomial variance if each were independent

    @property
    def error(self) -> float:
        """The standard error."""
        return math.sqrt(self.variance)

    def quantile(self, tail: float) -> float:
        """So many standard errors leave `tail` on one side: Student's quantile."""
        return float(stdtrit(min(self.freedom, 1e9), 1.0 - tail))

    def with_noise(self, variance: float, freedom: float) -> Estimate:
        """The same value, with an independent source of variance more."""
        if variance == 0.0:
            return self
        total = self.variance + variance
        shares = self.variance**2 / self.freedom + variance**2 / freedom
        return replace(self, variance=total, freedom=max(1.0, total**2 / shares) if shares else math.inf)

    def without(self, variance: float) -> Estimate:
        """The same value, without a part of its variance that another source of variance brings again."""
        return replace(self, variance=max(0.0, self.variance - variance))

    def interval(self, tail: float = (1.0 - LEVEL) / 2.0) -> Interval:
        """Of a difference of two accuracies: symmetric, within -1 and 1.

        Args:
            tail: the chance that the truth lies below the interval, and that it lies above.
        """
        half = self.quantile(tail) * self.error
        return Interval(self.value, max(-1.0, self.value - half), min(1.0, self.value + half))

    def share(self, tail: float = (1.0 - LEVEL) / 2.0, *, chosen_from: int = 1, own_variance: float = 0.0) -> Interval:
        """Wilson's interval of an accuracy, which stays within 0 and 1.

        An accuracy that was chosen as the best of several is flattered by luck that is its own, not by luck that all of
        them share, as easy images are. So the lower end covers all of them at once (Bonferroni) in that part of the variance.

        Args:
            chosen_from: so many accuracies were candidates.
            own_variance: the part of the variance that the candidates do not share.
        """
        plain = self.quantile(tail)
        own = min(1.0, own_variance / self.variance) if self.variance else 1.0
        below = math.sqrt((1.0 - own) * plain**2 + own * self.quantile(tail / chosen_from) ** 2)
        binomial = self.value * (1.0 - self.value)
        images = min(self.images, binomial / self.variance) if self.variance and binomial > 0.0 else self.images
        return Interval(self.value, _wilson(self.value, images, -below), _wilson(self.value, images, plain))


def _wilson(share: float, images: float, errors: float) -> float:
    """The end of Wilson's interval that lies so many standard errors above the share, below where negative."""
    scale = 1.0 + errors**2 / images
    centre = (share + errors**2 / (2.0 * images)) / scale
    half = errors / scale * math.sqrt(max(0.0, share * (1.0 - share)) / images + errors**2 / (4.0 * images**2))
    end = centre + half
    return max(share, min(1.0, end)) if errors > 0 else min(share, max(0.0, end))
