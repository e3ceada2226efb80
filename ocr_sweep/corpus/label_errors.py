"""Labels that are probably wrong: three votes on out-of-fold predictions, and a suspect where two agree."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.corpus.gradients import gradient_features
from ocr_sweep.corpus.out_of_fold import Ints, OutOfFold, out_of_fold

VOTES = ("confident learning", "nearest neighbours", "self-confidence")
AGREE = 2
"""So many of the three votes make a suspect."""

FEW = 5
"""Suspects of classes with fewer images are shown for review only: nothing is proposed for them."""

COMPETENT = 0.4
"""A model's word counts for the characters of which it reads at least this share as they are labelled."""

_ODDS = 3.0  # log of how much less probable than another class a label must be: e^3 is about 20 times


@dataclass(frozen=True)
class LabelVotes:
    """What three votes say of N labels."""

    judged: NDArray[np.bool_]  # (N,) false: the models have seen too little of the class to read it
    votes: NDArray[np.bool_]  # (N, 3) against the label, in the order of VOTES
    margin: NDArray[np.float64]  # (N,) log odds of the best other class against the label
    predicted: Ints  # (N,) the most probable other class

    @property
    def suspects(self) -> Ints:
        """Image numbers where votes agree, the most blatant first."""
        agreed = np.flatnonzero(self.judged & (self.votes.sum(axis=1) >= AGREE))
        return np.asarray(agreed[np.argsort(-self.margin[agreed], kind="stable")])


def vote_on_labels(images: NDArray[np.uint8], labels: Ints, groups: Ints, *, num_classes: int, seed: int = 0) -> LabelVotes:
    """Judge every label by a model that saw neither the image nor its group.

    Args:
        images: (N, S, S), 0 paper, 255 full ink.
        labels: (N,) class ids.
        groups: (N,) writers or pages, which are not torn over folds.

    References:
        Northcutt, Jiang, Chuang: Confident learning, JAIR 70 (2021), arXiv:1911.00068 (first vote).
    """
    if not len(images):
        nothing = np.empty(0, np.int64)
        return LabelVotes(np.empty(0, bool), np.empty((0, 3), bool), np.empty(0), nothing)
    found = out_of_fold(gradient_features(images), labels, groups, num_classes=num_classes, seed=seed)
    return count_votes(found, labels, num_classes)


def count_votes(found: OutOfFold, labels: Ints, num_classes: int) -> LabelVotes:
    """The three votes on predictions that are there already."""
    predicted, log_other = _best_other(found, labels)
    judged = found.judged & _competent(found, labels, num_classes)[labels]
    margin = np.where(judged, log_other.astype(np.float64) - found.log_own, -np.inf)
    confident = confident_classes(found, labels, num_classes)
    votes = np.stack([(confident >= 0) & (confident != labels), outvoted(found.neighbours, labels), margin >= _ODDS], axis=1)
    return LabelVotes(judged, votes & judged[:, None], margin, predicted)


def _competent(found: OutOfFold, labels: Ints, num_classes: int) -> NDArray[np.bool_]:
    """(K,) whether the models can read a class: in a tail of two or three images each, every label looks wrong to them."""
    agreed = found.judged & (found.top_class[:, 0] == labels)
    read, all_of_them = (np.bincount(labels[chosen], minlength=num_classes) for chosen in (agreed, found.judged))
    return np.asarray(read >= COMPETENT * np.maximum(all_of_them, 1))


def confident_classes(found: OutOfFold, labels: Ints, num_classes: int) -> Ints:
    """(N,) the most probable of the classes that an image reaches the threshold of; -1 where it reaches none.

    The threshold of class j is the mean probability of j over the images labelled j. A label is a probable error where
    the result is another class. Only the kept most probable classes take part.

    References:
        Northcutt, Jiang, Chuang: Confident learning, arXiv:1911.00068, equations 1 and 2.
    """
    total = np.bincount(labels[found.judged], weights=np.exp(found.log_own[found.judged]), minlength=num_classes)
    count = np.bincount(labels[found.judged], minlength=num_classes)
    threshold = np.where(count > 0, total / np.maximum(count, 1), np.inf)
    reached = np.exp(found.top_log) >= threshold[found.top_class]  # (N, T), most probable class first
    first = reached.argmax(axis=1)
    return np.where(reached.any(axis=1), found.top_class[np.arange(len(labels)), first], -1)


def outvoted(neighbours: Ints, labels: Ints) -> NDArray[np.bool_]:
    """(N,) whether more of an image's neighbours carry one other label than carry its own."""
    own = (neighbours == labels[:, None]).sum(axis=1)
    others = np.where(neighbours == labels[:, None], -1, neighbours)
    alike = (others[:, :, None] == others[:, None, :]) & (others >= 0)[:, :, None]  # (N, k, k)
    return np.asarray(alike.sum(axis=2).max(axis=1, initial=0) > own)


def _best_other(found: OutOfFold, labels: Ints) -> tuple[Ints, NDArray[np.float32]]:
    """The most probable class besides the label, and its log probability."""
    place = (found.top_class[:, 0] == labels).astype(np.int64)
    rows = np.arange(len(labels))
    return found.top_class[rows, place], found.top_log[rows, place]
