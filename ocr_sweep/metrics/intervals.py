"""How far an accuracy can be trusted, and the difference of two on the same images.

Images of one character stand and fall together, and so do those of one writer, page or scroll. So the variance is that of
clusters and not of images: by class, by group, or by both at once, whichever is largest. A sum over clusters knows only
what it has seen: where nothing is wrong, or two models agree everywhere, it is zero. So no variance is below that of a
closed form at the same number of images: the binomial for one accuracy, Bonett and Price's for a paired difference.
20 right of 20 reads as 84 % to 100 %.

References:
    Field & Welsh, Bootstrapping clustered data, JRSS B 69 (2007).
    Cameron, Gelbach & Miller, Robust inference with multiway clustering, JBES 29 (2011).
    Bonett & Price, Adjusted Wald confidence interval for a difference of binomial proportions based on paired data,
    JEBS 37 (2012).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.errors import DataError
from ocr_sweep.metrics.estimates import Estimate


@dataclass(frozen=True)
class Clusters:
    """What N images have in common, numbered from 0: their class, perhaps their writer or page, and both together."""

    classes: NDArray[np.int64]  # (N,)
    groups: NDArray[np.int64] | None = None  # (N,) writer or page; None: each image stands alone
    cells: NDArray[np.int64] | None = None  # (N,) class and group together

    @classmethod
    def of(cls, classes: NDArray[np.integer], groups: NDArray[np.integer] | None = None) -> Clusters:
        """Number the clusters.

        Raises:
            DataError: the two differ in length.
        """
        if classes.ndim != 1 or (groups is not None and groups.shape != classes.shape):
            other = "" if groups is None else f" and {groups.shape}"
            raise DataError(f"classes and groups must both be (N,), but got {classes.shape}{other}")
        numbered = _numbered(classes)
        if groups is None:
            return cls(numbered)
        others = _numbered(groups)
        return cls(numbered, others, _numbered(others * (numbered.max(initial=0) + 1) + numbered))

    def at(self, chosen: NDArray[np.integer]) -> Clusters:
        """Those of some images."""
        groups, cells = (None if codes is None else codes[chosen] for codes in (self.groups, self.cells))
        return Clusters(self.classes[chosen], groups, cells)

    def mean(self, values: NDArray[np.floating], *, macro: bool) -> float:
        """The mean of (N,) values: over images, or of the class means."""
        if not macro:
            return float(values.mean())
        counts = np.bincount(self.classes)
        return float((np.bincount(self.classes, weights=values)[counts > 0] / counts[counts > 0]).mean())

    def variance_within(self, values: NDArray[np.floating], *, macro: bool) -> float:
        """The variance of such a mean that single images bring, whatever their classes are like."""
        counts = np.bincount(self.classes)
        means = np.bincount(self.classes, weights=values) / np.maximum(1, counts)
        several = counts[self.classes] > 1
        spread = (values - means[self.classes]) ** 2 * counts[self.classes] / np.maximum(1, counts[self.classes] - 1)
        return float((self.weights(macro=macro) ** 2 * spread)[several].sum())

    def weights(self, *, macro: bool) -> NDArray[np.float64]:
        """(N,) what each image counts in such a mean, 1 in all."""
        if not macro:
            return np.full(len(self.classes), 1.0 / len(self.classes))
        counts = np.bincount(self.classes)
        weights: NDArray[np.float64] = 1.0 / (np.count_nonzero(counts) * counts[self.classes])
        return weights


def accuracy_estimate(correct: NDArray[np.floating], clusters: Clusters, *, macro: bool) -> Estimate:
    """An accuracy, with classes and groups as what could have come out otherwise.

    Args:
        correct: (N,) 1 where an image is read right, 0 where not, or the mean of that over several runs.
        macro: judge the mean of the class means; otherwise the mean over images.

    Raises:
        DataError: there is no image, or the two differ in length.
    """
    found = _clustered(correct, clusters, macro)
    return _not_below(found, found.value * (1.0 - found.value) / found.images)


def difference_estimate(
    correct_a: NDArray[np.floating], correct_b: NDArray[np.floating], clusters: Clusters, *, macro: bool
) -> Estimate:
    """Accuracy a minus accuracy b on the same images.

    Args:
        correct_a: (N,) 1 where a reads an image right, 0 where not, or the mean of that over several runs.
        correct_b: (N,) the same of b.
        macro: judge the mean of the class means; otherwise the mean over images.

    Raises:
        DataError: there is no image, or the three differ in length.
    """
    if correct_a.shape != correct_b.shape:
        raise DataError(f"paired arms must judge the same images, but got {correct_a.shape} and {correct_b.shape}")
    found = _clustered(correct_a.astype(np.float64) - correct_b, clusters, macro)
    return _not_below(found, 2.0 / (found.images + 2.0) ** 2)  # of one image that only a reads and one that only b reads


def _not_below(found: Estimate, variance: float) -> Estimate:
    if found.variance > variance:
        return found
    return Estimate(found.value, variance, math.inf, found.images)


def _clustered(values: NDArray[np.floating], clusters: Clusters, macro: bool) -> Estimate:
    """The mean and its variance over clusters."""
    if values.shape != clusters.classes.shape:
        raise DataError(f"values and their clusters must both be (N,), but got {values.shape} and {clusters.classes.shape}")
    if values.size == 0:
        raise DataError("an interval needs at least one image, but got none; give the set a larger share of the corpus")
    weights = clusters.weights(macro=macro)
    mean = clusters.mean(values, macro=macro)
    variance, freedom = _largest(weights * (values - mean), weights, clusters)
    return Estimate(mean, variance, freedom, 1.0 / float((weights**2).sum()))


def _largest(moved: NDArray[np.float64], weights: NDArray[np.float64], clusters: Clusters) -> tuple[float, float]:
    """The largest variance, by class, by group, or by both, and its degrees of freedom."""
    by_class = _by(clusters.classes, moved, weights)
    if clusters.groups is None or clusters.cells is None:
        return by_class
    by_group = _by(clusters.groups, moved, weights)
    both = by_class[0] + by_group[0] - _by(clusters.cells, moved, weights)[0]
    return max(by_class, by_group, (both, min(by_class[1], by_group[1])), key=lambda found: found[0])


def _by(codes: NDArray[np.int64], moved: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[float, float]:
    """Variance of the mean over clusters, and its degrees of freedom: as many as that many even clusters would have, less 1.

    One cluster says nothing of others: its variance is 0.
    """
    sums, sizes = np.bincount(codes, weights=moved), np.bincount(codes, weights=weights)
    number = int(np.count_nonzero(sizes))
    if number == 1:
        return 0.0, math.inf
    variance = float((sums**2).sum()) * number / (number - 1)
    return variance, max(1.0, 1.0 / float((sizes**2).sum()) - 1.0)


def _numbered(names: NDArray[np.integer]) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return numbers
