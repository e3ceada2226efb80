"""Confidence intervals of an accuracy, and of the difference of two on the same images.

Images of one character stand and fall together, so classes are resampled and not images (a cluster bootstrap). A
bootstrap knows only what it has seen: where nothing is wrong, or two models agree everywhere, its width is zero. So each
interval is the union of the bootstrap's and a closed form with pseudo-observations at the same number of images:
Wilson's for one accuracy, Bonett and Price's for a paired difference. 20 right of 20 reads as 84 % to 100 %.

References:
    Field & Welsh, Bootstrapping clustered data, JRSS B 69 (2007).
    Wilson, Probable inference, JASA 22 (1927).
    Bonett & Price, Adjusted Wald confidence interval for a difference of binomial proportions based on paired data,
    JEBS 37 (2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.errors import DataError

_CHUNK = 4_000_000  # cluster draws held in memory at once


@dataclass(frozen=True)
class Interval:
    """A number and the interval that holds its true value with the stated confidence; low <= value <= high."""

    value: float
    low: float
    high: float

    def as_share(self) -> Interval:
        """The same interval, cut to what an accuracy can be: 0 to 1."""
        return Interval(self.value, max(0.0, self.low), min(1.0, self.high))


def cluster_bootstrap(
    correct: NDArray[np.floating],
    clusters: NDArray[np.integer],
    *,
    macro: bool,
    num_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Interval of an accuracy, with the classes as what could have come out otherwise.

    Args:
        correct: (N,) 1 where an image is read right, 0 where not, or the mean of that over several runs.
        clusters: (N,) class of each image.
        macro: judge the mean of the class means; otherwise the mean over images.

    Raises:
        DataError: there is no image, or the two differ in length.
    """
    sums, counts = _per_cluster(correct, clusters)
    value, low, high = _bootstrap(sums, counts, macro, num_resamples, seed, level)
    wilson = _wilson(value, _effective_images(counts, macro), level)
    return Interval(value, max(0.0, min(low, wilson[0])), min(1.0, max(high, wilson[1])))


def paired_difference(
    correct_a: NDArray[np.floating],
    correct_b: NDArray[np.floating],
    clusters: NDArray[np.integer],
    *,
    macro: bool,
    num_resamples: int = 2000,
    seed: int = 0,
    level: float = 0.95,
) -> Interval:
    """Interval of accuracy a minus accuracy b on the same images: both see the same resamples.

    Args:
        correct_a: (N,) 1 where a reads an image right, 0 where not, or the mean of that over several runs.
        correct_b: (N,) the same of b.
        clusters: (N,) class of each image.
        macro: judge the mean of the class means; otherwise the mean over images.

    Raises:
        DataError: there is no image, or the three differ in length.
    """
    if correct_a.shape != correct_b.shape:
        raise DataError(f"paired arms must judge the same images, but got {correct_a.shape} and {correct_b.shape}")
    difference = correct_a.astype(np.float64) - correct_b
    sums, counts = _per_cluster(difference, clusters)
    value, low, high = _bootstrap(sums, counts, macro, num_resamples, seed, level)
    squares, _ = _per_cluster(difference**2, clusters)
    discordant = float(np.mean(squares / counts) if macro else squares.sum() / counts.sum())
    adjusted = _bonett_price(value, discordant, _effective_images(counts, macro), level)
    return Interval(value, max(-1.0, min(low, adjusted[0])), min(1.0, max(high, adjusted[1])))


def _per_cluster(values: NDArray[np.floating], clusters: NDArray[np.integer]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and number of the values of each cluster, both (C,)."""
    if values.shape != clusters.shape or values.ndim != 1:
        raise DataError(f"values and clusters must both be (N,), but got {values.shape} and {clusters.shape}")
    if values.size == 0:
        raise DataError("an interval needs at least one image, but got none; give the set a larger share of the corpus")
    _, inverse = np.unique(clusters, return_inverse=True)
    sums: NDArray[np.float64] = np.bincount(inverse, weights=values).astype(np.float64)
    return sums, np.bincount(inverse).astype(np.float64)


def _bootstrap(
    sums: NDArray[np.float64], counts: NDArray[np.float64], macro: bool, num_resamples: int, seed: int, level: float
) -> tuple[float, float, float]:
    """Value and percentile interval over resampled clusters, widened by sqrt(C / (C - 1)) for few clusters."""
    if macro:
        sums, counts = sums / counts, np.ones_like(counts)
    rng = np.random.default_rng(seed)
    num_clusters = len(sums)
    value = float(sums.sum() / counts.sum())
    parts = []
    for start in range(0, num_resamples, max(1, _CHUNK // num_clusters)):
        rows = min(max(1, _CHUNK // num_clusters), num_resamples - start)
        drawn = rng.integers(0, num_clusters, size=(rows, num_clusters), dtype=np.int32)
        parts.append(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(np.concatenate(parts), [tail, 1.0 - tail])
    stretch = math.sqrt(num_clusters / max(1, num_clusters - 1))
    return value, min(value, value - stretch * (value - float(low))), max(value, value + stretch * (float(high) - value))


def _effective_images(counts: NDArray[np.float64], macro: bool) -> float:
    """How many images of one class would carry the same binomial variance: N, or for a mean of class means less."""
    return float(len(counts) ** 2 / np.sum(1.0 / counts)) if macro else float(counts.sum())


def _wilson(share: float, num_images: float, level: float) -> tuple[float, float]:
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    scale = 1.0 + z**2 / num_images
    centre = (share + z**2 / (2.0 * num_images)) / scale
    half = z / scale * math.sqrt(max(0.0, share * (1.0 - share)) / num_images + z**2 / (4.0 * num_images**2))
    return min(share, centre - half), max(share, centre + half)


def _bonett_price(difference: float, discordant: float, num_images: float, level: float) -> tuple[float, float]:
    """Wald interval after adding one image that only a reads and one that only b reads."""
    z = NormalDist().inv_cdf(0.5 + level / 2.0)
    total = num_images + 2.0
    centre = difference * num_images / total
    half = z * math.sqrt(max(0.0, (discordant * num_images + 2.0) / total - centre**2) / total)
    return min(difference, centre - half), max(difference, centre + half)
