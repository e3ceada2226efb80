"""Weights of classes by their effective number of images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def effective_number_weights(counts: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """(K,) weights in proportion to (1 - beta) / (1 - beta^n), with mean 1. Beta 0: all equal; near 1: in proportion to 1 / n.

    References:
        Cui et al., Class-balanced loss based on effective number of samples, arXiv:1901.05555.
    """
    if beta == 0:
        return np.ones_like(counts)
    weights = (1 - beta) / -np.expm1(counts * np.log(beta))
    return np.asarray(weights * len(counts) / weights.sum())
