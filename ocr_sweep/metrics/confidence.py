"""How far a network's confidence can be believed: temperature, log-likelihood, calibration error.

Confidence is the largest of softmax(z / T), with T fitted on validation. A network that learnt by binary cross entropy
is read through the same map: what is judged is the answer that a reader would be shown.

References:
    Guo et al., On calibration of modern neural networks, arXiv:1706.04599.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.errors import DataError

_BINS = 15
_SHARPEST, _FLATTEST = 1e-3, 1e3  # between these a temperature is looked for
_CHUNK = 4_000_000  # logits in work at once


@dataclass(frozen=True)
class Reliability:
    """Images by confidence, in bins of equal width; an empty bin has accuracy and confidence 0."""

    count: NDArray[np.int64]  # (M,)
    accuracy: NDArray[np.float64]  # (M,) share read right
    confidence: NDArray[np.float64]  # (M,) mean

    @property
    def error(self) -> float:
        """Mean over the images of the distance between their bin's accuracy and confidence."""
        return float(np.sum(self.count * np.abs(self.accuracy - self.confidence)) / self.count.sum())


def reliability(confidence: NDArray[np.floating], correct: NDArray[np.bool_], num_bins: int = _BINS) -> Reliability:
    """Compare confidence with accuracy, bin by bin; a confidence on an edge belongs to the bin below.

    Args:
        confidence: (N,) in (0, 1].
        correct: (N,) whether an image is read right.

    Raises:
        DataError: there is no image, or the two differ in length.
    """
    if confidence.shape != correct.shape or confidence.ndim != 1 or confidence.size == 0:
        raise DataError(
            f"confidence and correct must both be (N,) with N > 0, but got {confidence.shape} and {correct.shape}; "
            "give the set a larger share of the corpus"
        )
    place = np.clip(np.ceil(confidence.astype(np.float64) * num_bins).astype(np.int64) - 1, 0, num_bins - 1)
    count = np.bincount(place, minlength=num_bins)
    sums = [np.bincount(place, weights=values, minlength=num_bins) for values in (correct, confidence)]
    accuracy, mean = (total / np.maximum(count, 1) for total in sums)
    return Reliability(count.astype(np.int64), accuracy, mean)


def calibration_error(confidence: NDArray[np.floating], correct: NDArray[np.bool_]) -> float:
    """Expected calibration error over 15 bins (see `reliability`)."""
    return reliability(confidence, correct).error


def fit_temperature(logits: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """The T whose softmax(z / T) gives the labels the highest likelihood, between 0.001 and 1000.

    The likelihood is concave in 1 / T, so its slope, the mean of z_label - E[z], changes sign once.

    Args:
        logits: (N, K).
        labels: (N,).
    """
    from scipy.optimize import brentq  # takes half a second, and every command imports this module

    def slope(log_sharpness: float) -> float:
        return sum(float(part) for part in _slopes(logits, labels, float(np.exp(log_sharpness))))

    low, high = -np.log(_FLATTEST), -np.log(_SHARPEST)
    if slope(low) <= 0:  # worse than chance: the flatter the better
        return _FLATTEST
    if slope(high) >= 0:  # all right: the sharper the better
        return _SHARPEST
    return float(np.exp(-brentq(slope, low, high, xtol=1e-6)))


def _slopes(logits: NDArray[np.float32], labels: NDArray[np.int64], sharpness: float) -> list[float]:
    """The derivative of the log-likelihood by 1 / T, for runs of images."""
    rows = max(1, _CHUNK // logits.shape[1])
    parts = []
    for first in range(0, len(logits), rows):
        z = logits[first : first + rows] - logits[first : first + rows].max(axis=1, keepdims=True)
        weight = np.exp(z * np.float32(sharpness))
        mean = np.sum(weight * z, axis=1, dtype=np.float64) / np.sum(weight, axis=1, dtype=np.float64)
        parts.append(float(np.sum(z[np.arange(len(z)), labels[first : first + rows]] - mean)))
    return parts


def confidence_and_nll(
    logits: NDArray[np.float32], labels: NDArray[np.int64], temperature: float
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The largest of softmax(z / T) and -log softmax(z / T) of the label, both (N,).

    Args:
        logits: (N, K).
        labels: (N,).
    """
    z = (logits - logits.max(axis=1, keepdims=True)) / np.float32(temperature)
    log_sum = np.log(np.exp(z).sum(axis=1, dtype=np.float64))  # the largest has z = 0
    nll = log_sum - z[np.arange(len(z)), labels]
    return np.exp(-log_sum).astype(np.float32), nll.astype(np.float32)
