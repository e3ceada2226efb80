"""How the entrants of a race stand: their accuracies and their differences on the same images, seeds included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.metrics import (
    Clusters,
    Estimate,
    SeedNoise,
    accuracy_estimate,
    difference_estimate,
    seed_noise,
    seed_noise_of_rounds,
)

Reads = NDArray[np.int8]
"""(N,) what a training made of each image: 1 read right, 0 read wrong, -1 not judged."""


@dataclass(frozen=True)
class Images:
    """What the trainings are judged on: N images."""

    clusters: Clusters  # class, and writer or page
    macro: bool  # the mean of the class means counts; otherwise the mean over images
    folds: bool = False  # each round judges images of its own


@dataclass(frozen=True)
class Entrant:
    """Somebody who races, and what its trainings have read so far."""

    trial: int
    cost: float
    rounds: tuple[Reads | None, ...]  # in order; None: it was trained, and has no result
    other_scores: tuple[float, ...] = ()  # accuracies of trainings that were not chosen for them, on the same images


class Standing:
    """What the results of some rounds say of those who have any.

    The luck of the seed is taken to be alike for all, so that two or three trainings each say enough of it together.

    Args:
        rounds: so many rounds of each trial count.
    """

    def __init__(self, entrants: Sequence[Entrant], rounds: Mapping[int, int], images: Images) -> None:
        self._images = images
        self._reads = {entrant.trial: _results(entrant, rounds[entrant.trial]) for entrant in entrants}
        self._reads = {trial: reads for trial, reads in self._reads.items() if reads}
        self._scores = {trial: {at: self._score(one) for at, one in reads.items()} for trial, reads in self._reads.items()}
        self._shares = {trial: _share(list(reads.values())) for trial, reads in self._reads.items()}
        self._differences: dict[tuple[int, int], Estimate] = {}
        self.noise = self._noise([entrant for entrant in entrants if entrant.trial in self._reads])
        self.ranked = sorted(self._reads, key=lambda trial: (-self.accuracy(trial).value, trial))

    @property
    def knows_seeds(self) -> bool:
        """Whether anything was trained twice: without that, nothing is known of the luck of the seed."""
        return self.noise.freedom > 0.0

    def knows(self, *trials: int) -> bool:
        """Whether each of them has a result."""
        return all(trial in self._reads for trial in trials)

    def scores(self, trial: int) -> tuple[float, ...]:
        """The accuracy of each of its trainings."""
        return tuple(self._scores[trial].values())

    def accuracy(self, trial: int) -> Estimate:
        """Its accuracy, mean over its trainings."""
        share = self._shares[trial]
        at = np.flatnonzero(~np.isnan(share))
        images = self._images
        found = accuracy_estimate(share[at], images.clusters.at(at), macro=images.macro)
        if not images.folds:
            return self.noise.on(found.without(self._luck(at, trial)), len(self._reads[trial]))
        others = [self._chance_of_images(trial, other) / 2.0 for other in self._reads if other != trial]
        return self._with_rounds(found, float(np.mean(others)) if others else 0.0, trial)

    def difference(self, a: int, b: int) -> Estimate:
        """The accuracy of a minus that of b, on the images that both have judged."""
        if (a, b) not in self._differences:
            self._differences[a, b] = self._difference(a, b)
        return self._differences[a, b]

    def _difference(self, a: int, b: int) -> Estimate:
        both = np.flatnonzero(~np.isnan(self._shares[a] + self._shares[b]))
        images, (mine, other) = self._images, (self._shares[trial][both] for trial in (a, b))
        found = difference_estimate(mine, other, images.clusters.at(both), macro=images.macro)
        if images.folds:
            return self._with_rounds(found, self._chance_of_images(a, b), a, b)
        return self.noise.on(found.without(self._luck(both, a, b)), len(self._reads[a]), len(self._reads[b]))

    def _with_rounds(self, found: Estimate, known: float, *trials: int) -> Estimate:
        """An estimate with the luck of rounds added that judge images of their own, less what the chance of images explains."""
        noisy = self.noise.on(found, *(len(self._reads[trial]) for trial in trials))
        return noisy.without(min(known, noisy.variance - found.variance))

    def _chance_of_images(self, a: int, b: int) -> float:
        """Variance of a difference that images within a class bring: the rounds have it in their spread again."""
        both = np.flatnonzero(~np.isnan(self._shares[a] + self._shares[b]))
        difference = self._shares[a][both] - self._shares[b][both]
        return self._images.clusters.at(both).variance_within(difference, macro=self._images.macro)

    def _luck(self, at: NDArray[np.int64], *trials: int) -> float:
        """Variance over images that is the luck of seeds at each of them: it is in the seeds' own variance again."""
        if not self.knows_seeds:
            return 0.0
        weights = self._images.clusters.at(at).weights(macro=self._images.macro) ** 2
        luck = 0.0
        for trial in trials:
            judged = sum((one[at] >= 0).astype(np.int64) for one in self._reads[trial].values())
            share = self._shares[trial][at]
            luck += float((weights * share * (1.0 - share) / np.maximum(1, judged - 1))[judged > 1].sum())
        return luck

    def passing_variance(self, a: int, b: int) -> float:
        """The part of the variance of a difference that further rounds make smaller; with folds they bring new images, too."""
        if self._images.folds:
            return self.difference(a, b).variance
        return self.noise.variance * (1.0 / len(self._reads[a]) + 1.0 / len(self._reads[b]))

    def own_variance(self, trial: int) -> float:
        """The part of the variance of its accuracy that it does not share with the others."""
        others = [self.difference(trial, other).variance / 2.0 for other in self.ranked if other != trial]
        return float(np.mean(others)) if others else 0.0

    def _noise(self, entrants: Sequence[Entrant]) -> SeedNoise:
        if not self._images.folds:
            return seed_noise([[*self._scores[entrant.trial].values(), *entrant.other_scores] for entrant in entrants])
        num_rounds = max((at + 1 for scores in self._scores.values() for at in scores), default=0)
        table = np.full((len(entrants), num_rounds), np.nan)
        for row, entrant in zip(table, entrants, strict=True):
            for at, score in self._scores[entrant.trial].items():
                row[at] = score
        return seed_noise_of_rounds(table)

    def _score(self, reads: Reads) -> float:
        at = np.flatnonzero(reads >= 0)
        return self._images.clusters.at(at).mean(reads[at] == 1, macro=self._images.macro)


def _results(entrant: Entrant, rounds: int) -> dict[int, Reads]:
    return {at: reads for at, reads in enumerate(entrant.rounds[:rounds]) if reads is not None}


def _share(results: Sequence[Reads]) -> NDArray[np.float64]:
    """(N,) share of the trainings that read an image right; NaN where none judged it."""
    right, judged = np.zeros(len(results[0])), np.zeros(len(results[0]))
    for reads in results:
        right += reads == 1
        judged += reads >= 0
    share: NDArray[np.float64] = np.divide(right, judged, out=np.full(len(right), np.nan), where=judged > 0)
    return share
