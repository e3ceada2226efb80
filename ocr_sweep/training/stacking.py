"""Calibrated stacking: the one number that weighs classes that learn from scans against those that do not.

A network that has met some classes as scans and others only as drawn glyphs reads scans of the latter as the former.
Taking gamma from the logits of the former undoes that. Only classes without scans in training can tell how much is
right, so their validation scans choose it: a pseudo-tail keeps some.

References:
    Chao et al., An empirical study and analysis of generalized zero-shot learning for object recognition in the wild,
    arXiv:1605.04253.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.metrics import macro_accuracy


@dataclass(frozen=True)
class Contest:
    """The best class with and the best without scans in training, for each of N images, before anything is taken off."""

    label: NDArray[np.int64]  # (N,)
    seen_logit: NDArray[np.float64]  # (N,) of the best class that has scans
    seen_class: NDArray[np.int64]
    unseen_logit: NDArray[np.float64]  # (N,) of the best class that has none
    unseen_class: NDArray[np.int64]

    @classmethod
    def of(cls, logits: NDArray[np.floating], labels: NDArray[np.int64], seen: NDArray[np.bool_]) -> Contest:
        """From (N, K) logits, (N,) labels, and which of the K classes have scans; some have and some have not."""
        rows = np.arange(len(logits))
        best = [np.flatnonzero(mask)[logits[:, mask].argmax(axis=1)] for mask in (seen, ~seen)]
        (seen_class, unseen_class), (seen_logit, unseen_logit) = best, [logits[rows, c].astype(np.float64) for c in best]
        return cls(labels, seen_logit, seen_class, unseen_logit, unseen_class)

    @classmethod
    def joined(cls, parts: list[Contest]) -> Contest:
        """Several as one."""
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__dataclass_fields__))

    def __getitem__(self, chosen: NDArray[np.bool_]) -> Contest:
        return Contest(*(getattr(self, name)[chosen] for name in self.__dataclass_fields__))

    def predicted(self, gamma: float) -> NDArray[np.int64]:
        """(N,) classes once gamma is taken from the classes with scans."""
        return np.where(self.seen_logit - gamma > self.unseen_logit, self.seen_class, self.unseen_class)

    def macro_accuracy(self, gamma: float) -> float:
        """Mean over the classes present."""
        return macro_accuracy(self.label, self.predicted(gamma))


def choose_gamma(contest: Contest) -> float:
    """The gamma of highest macro accuracy, exactly: it is a step function of gamma whose steps are known.

    Zero where zero is as good as any; otherwise the middle of the widest of the best stretches.
    """
    margin = contest.seen_logit - contest.unseen_logit  # above it the class without scans wins
    _, inverse, counts = np.unique(contest.label, return_inverse=True, return_counts=True)
    weight = 1.0 / counts[inverse]
    loss = weight * (contest.seen_class == contest.label)  # right until gamma passes the margin
    gain = weight * (contest.unseen_class == contest.label)  # right from there on
    steps, place = np.unique(margin, return_inverse=True)
    after = np.bincount(place, weights=gain - loss)
    total = loss.sum() + np.concatenate([[0.0], np.cumsum(after)])  # (number of stretches,)
    best = np.flatnonzero(total >= total.max() - 1e-9)
    ends = np.concatenate([[-np.inf], steps, [np.inf]])
    stretches = [(float(ends[i]), float(ends[i + 1])) for i in best]
    if any(low <= 0.0 < high for low, high in stretches):  # at its low end already: a tie goes to the class without scans
        return 0.0
    return _middle(max(stretches, key=lambda ends: ends[1] - ends[0] if np.isfinite(ends[1] - ends[0]) else 0.0))


def _middle(stretch: tuple[float, float]) -> float:
    low, high = stretch
    if np.isinf(low):
        return high - 1.0
    return low + 1.0 if np.isinf(high) else (low + high) / 2


def halves(labels: NDArray[np.int64], groups: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(N,) whether an image is in the first half; a group of a class is never torn, and each class is cut near its middle.

    Args:
        labels: (N,) classes.
        groups: (N,) what belongs together: a page, a writer.
    """
    order = np.lexsort((groups, labels))
    starts = np.flatnonzero(np.r_[True, (np.diff(labels[order]) != 0) | (np.diff(groups[order]) != 0)])
    first = np.zeros(len(labels), dtype=bool)
    of_class, total, current = [0, 0], [0, 0], -1
    for piece in np.split(order, starts[1:]):
        if labels[piece[0]] != current:
            current, of_class = int(labels[piece[0]]), [0, 0]
        half = 0 if (of_class[0], total[0]) <= (of_class[1], total[1]) else 1
        of_class[half] += len(piece)
        total[half] += len(piece)
        first[piece] = half == 0
    return first
