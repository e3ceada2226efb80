"""From which confidence on an answer is given, and below which it is "unknown".

Reference:
    El-Yaniv, Wiener, On the foundations of noise-free selective classification, JMLR 11, 2010: risk against coverage.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

PRECISION = 0.99
"""Share of the answers that should be right."""

_FEWEST_IMAGES = 20  # that a precision is believed of
_FEWEST_SHARE = 0.01


@dataclass(frozen=True)
class Acceptance:
    """A threshold of the confidence and what it did to the images that it was chosen on."""

    value: float  # an answer is given at this confidence or above
    wanted: float  # the precision that was asked for
    reached: bool  # whether some threshold had it; else the most precise one was taken
    precision: float  # share of the given answers that were right
    accepted: float  # share of the images that got an answer

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return asdict(self)


def choose_acceptance(confidence: NDArray[np.floating], correct: NDArray[np.bool_], wanted: float = PRECISION) -> Acceptance:
    """Choose the threshold that answers most images while the wanted share of the answers is right.

    Thresholds that answer fewer than 20 images, or than one in a hundred, are not considered. Where none has the wanted
    precision, the one with the highest is taken, and it says so. The threshold lies halfway to the next lower confidence.

    Args:
        confidence: (N,) of the first class; N > 0.
        correct: (N,) whether it is right.
    """
    order = np.argsort(-confidence.astype(np.float64), kind="stable")
    falling = confidence.astype(np.float64)[order]
    count = np.arange(1, len(order) + 1)
    precision = np.cumsum(correct[order]) / count
    last_of_equals = np.append(falling[1:] < falling[:-1], True)
    possible = last_of_equals & (count >= min(max(_FEWEST_IMAGES, _FEWEST_SHARE * len(order)), len(order)))
    good = possible & (precision >= wanted)
    highest = possible & (precision == precision[possible].max())
    reached = bool(good.any())
    chosen = int(np.flatnonzero(good if reached else highest)[-1])
    below = falling[chosen + 1] if chosen + 1 < len(falling) else 0.0
    return Acceptance(
        value=float((falling[chosen] + below) / 2),
        wanted=wanted,
        reached=reached,
        precision=float(precision[chosen]),
        accepted=float(count[chosen] / len(order)),
    )
