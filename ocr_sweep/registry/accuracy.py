"""Accuracy of a version on each named test set and class group, and its difference to another version's."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.metrics import Clusters, Interval, accuracy_estimate, difference_estimate
from ocr_sweep.registry.pairs import Answers, Pairs
from ocr_sweep.store import CLASS_GROUPS, CorpusView, class_group


@dataclass(frozen=True)
class Part:
    """A named test set, or the images of one class group in it."""

    name: str  # of the set
    group: str  # unseen, few, medium or many; empty: all of them
    rows: NDArray[np.int64]  # (N,) of the answers

    @property
    def title(self) -> str:
        """For people."""
        return f"{self.name}, {self.group}" if self.group else self.name


def parts(answers: Answers, view: CorpusView) -> Iterator[Part]:
    """Each named test set that has images, followed by its class groups where it has several."""
    group_of = np.array([class_group(int(count)) for count in view.real_counts])
    for set_id in view.set_ids("test"):
        rows = np.flatnonzero(answers.set_id == set_id)
        if not len(rows):
            continue
        yield Part(view.set_names[set_id], "", rows)
        groups = group_of[answers.label[rows]]
        present = [group for group in CLASS_GROUPS if (groups == group).any()]
        for group in present if len(present) > 1 else ():
            yield Part(view.set_names[set_id], group, rows[groups == group])


def accuracy_of(answers: Answers, part: Part) -> Interval:
    """Accuracy with its 95 % interval, clustered by class and writer: over a set's images, over a group's classes."""
    right = answers.right[part.rows].astype(np.float64)
    return accuracy_estimate(right, _clusters(answers, part), macro=bool(part.group)).share()


def difference_in(pairs: Pairs, part: Part) -> Interval:
    """Candidate minus former version, paired per image, likewise."""
    return _difference(pairs, part, pairs.candidate.right, pairs.rival)


def finest_in(pairs: Pairs, part: Part) -> float:
    """The smallest loss that these images could rule out: that of two versions which answer alike everywhere."""
    return -_difference(pairs, part, pairs.rival, pairs.rival).low


def _difference(pairs: Pairs, part: Part, one: NDArray[np.bool_], other: NDArray[np.bool_]) -> Interval:
    mine, theirs = one[part.rows].astype(np.float64), other[part.rows].astype(np.float64)
    return difference_estimate(mine, theirs, _clusters(pairs.candidate, part), macro=bool(part.group)).interval()


def _clusters(answers: Answers, part: Part) -> Clusters:
    return Clusters.of(answers.label[part.rows], answers.group[part.rows])


@dataclass(frozen=True)
class Forgetting:
    """What the former version reads and the candidate does not."""

    forgotten: str  # characters of which it reads more than half of the images, and the candidate none
    learnt: str  # the other way round
    num_read: int  # characters of which the former version reads more than half

    @property
    def share(self) -> float:
        """Of the characters that were read."""
        return len(self.forgotten) / self.num_read if self.num_read else 0.0


def forgetting(pairs: Pairs, view: CorpusView) -> Forgetting:
    """Compare the two character by character, over all test sets."""
    label = pairs.candidate.label
    images = np.bincount(label, minlength=view.num_classes)
    mine = np.bincount(label, weights=pairs.candidate.right, minlength=view.num_classes)
    other = np.bincount(label, weights=pairs.rival, minlength=view.num_classes)
    was_read, is_read = other * 2 > images, mine * 2 > images
    return Forgetting(
        forgotten="".join(view.chars[i] for i in np.flatnonzero(was_read & (mine == 0))),
        learnt="".join(view.chars[i] for i in np.flatnonzero(is_read & (other == 0))),
        num_read=int(was_read.sum()),
    )
