"""What a verdict is worth: the race of `ocr_sweep.sweep.confirmation.race` on simulated sweeps whose truth is known.

Nothing is trained. A world says of every validation image whether a training reads it right: characters and writers differ
in difficulty, configurations in what they are good at, seeds in their luck, some recipes in how much luck there is. A sweep
searches 20 configurations with one training each, confirms its base and the best four by the real race, and its verdict is
compared with the truth. Beside it stand two who spend as many trainings: argmax takes the largest number of a search that
had them as further trials (where the configurations are given arms, of the one search there is); the grid gives them to
the same candidates in equal parts and takes the largest mean. In half of
the sweeps configurations differ in cost, and the race takes the cheapest within one standard error.

Asserted for every kind of sweep: the reported 95 % intervals, of the chosen accuracy and of its difference to the base,
cover the truth in at least 93 %; where all configurations are the same, at most 5 % name a clear winner; where they differ,
the regret is below that of argmax.

    .venv/bin/python benchmarks/confirmation.py [--sweeps 500]
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ocr_sweep.metrics import Clusters, Interval, accuracy_estimate, difference_estimate
from ocr_sweep.sweep.confirmation.race import Race, Rules
from ocr_sweep.sweep.confirmation.standing import Entrant, Images, Reads

SHAPES = ((96, 14, 60), (40, 20, None), (200, 5, None), (96, 14, 15), (60, 8, 30))  # classes, images of each, writers
CEILING = 0.96  # what the best configuration of a study can reach


@dataclass(frozen=True)
class Kind:
    """A kind of sweep."""

    name: str
    gap: float  # how far below the ceiling configurations are on average; 0: all are one and the same
    trials: int = 20
    top: int = 4
    seeds: int = 5
    given: bool = False  # the configurations are arms that are given: argmax can try no others
    folds: bool = False  # each round judges a fifth of the images
    times: int = 1  # so many times as many sweeps as of other kinds


KINDS = (
    Kind("alike", 0.0),
    Kind("close", 0.003),
    Kind("apart", 0.01),
    Kind("far", 0.03),
    Kind("alike, five folds", 0.0, folds=True),
    Kind("apart, five folds", 0.01, folds=True),
    Kind("alike, one rival, two seeds", 0.0, trials=8, top=1, seeds=2, times=4),
    Kind("alike, eight arms", 0.0, trials=8, top=7, given=True),
    Kind("far, eight arms", 0.03, trials=8, top=7, given=True),
)


@dataclass
class World:
    """Images, and configurations that read them. Standard deviations are on the probit scale: 0.1 is a point at 95 %."""

    rng: np.random.Generator
    num_classes: int
    per_class: int
    num_writers: int | None
    alike: bool  # all configurations are one and the same
    seed_luck: float
    unsteady: float  # how much configurations differ in the luck of their seeds
    _own: dict[int, tuple[NDArray[np.float64], float]] = field(default_factory=dict)

    CLASS, WRITER, IMAGE = 0.5, 0.3, 1.0  # difficulty, for all configurations
    OWN_CLASS, OWN_WRITER, OWN_IMAGE = 0.15, 0.1, 0.3  # for one configuration
    SEED_CLASS, SEED_IMAGE = 0.15, 0.4  # for one training

    def __post_init__(self) -> None:
        self.classes = np.repeat(np.arange(self.num_classes), self.per_class)
        size = len(self.classes)
        self.writers = np.arange(size) if self.num_writers is None else self.rng.integers(0, self.num_writers, size)
        self.difficulty = self._effects(self.CLASS, self.WRITER, self.IMAGE)

    def _effects(self, of_class: float, of_writer: float, of_image: float) -> NDArray[np.float64]:
        by_class = self.rng.normal(0, of_class, self.num_classes)[self.classes]
        by_writer = self.rng.normal(0, of_writer, self.writers.max() + 1)[self.writers]
        effects: NDArray[np.float64] = by_class + by_writer + self.rng.normal(0, of_image, len(self.classes))
        return effects

    def train(self, config: int, truth: float) -> Reads:
        """What one training of a configuration reads, whose accuracy over all seeds, classes, writers and images is `truth`."""
        own, luck = self._configuration(0 if self.alike else config)
        deviations = (self.CLASS, self.WRITER, self.IMAGE, self.OWN_CLASS, self.OWN_WRITER, self.OWN_IMAGE)
        spread = np.sqrt(sum(d**2 for d in (*deviations, luck, self.SEED_CLASS, self.SEED_IMAGE)))
        by_chance = self.rng.normal(0, luck) + self._effects(self.SEED_CLASS, 0.0, self.SEED_IMAGE)
        reads: Reads = (float(ndtri(truth)) * spread + self.difficulty + own + by_chance > 0).astype(np.int8)
        return reads

    def _configuration(self, config: int) -> tuple[NDArray[np.float64], float]:
        if config not in self._own:
            luck = self.seed_luck * float(np.exp(self.rng.normal(0, self.unsteady)))
            self._own[config] = self._effects(self.OWN_CLASS, self.OWN_WRITER, self.OWN_IMAGE), luck
        return self._own[config]


@dataclass(frozen=True)
class Outcome:
    """One sweep: what was said, and what is true."""

    trainings: int  # of the race
    saved: float  # share of the full grid of seeds
    clear: bool  # a winner was called clear
    wrong: bool  # somebody left because of one that is no better
    covered: bool  # by the interval of the chosen accuracy
    difference_covered: bool  # by the interval of the difference to the base
    width: float  # of the interval of the chosen accuracy
    one_cost: bool
    saved_cost: float  # share of the leader's cost
    regret: float  # below the best of the search
    argmax_regret: float
    grid_regret: float
    argmax_covered: bool  # by the interval of the largest number of the search, over images alone
    argmax_clear: bool  # its interval against the base, over images alone, excludes 0


def sweep(seed: int, kind: Kind) -> Outcome:
    """Search, race, and compare with the truth."""
    rng = np.random.default_rng(seed)
    num_classes, per_class, num_writers = SHAPES[int(rng.integers(len(SHAPES)))]
    luck, unsteady = float(rng.choice([0.03, 0.06, 0.1])), float(rng.choice([0.0, 0.3, 0.6]))
    world = World(rng, num_classes, per_class, num_writers, kind.gap == 0.0, luck, unsteady)
    images = Images(Clusters.of(world.classes, world.writers), macro=True, folds=kind.folds)
    folds = rng.integers(0, kind.seeds, len(world.classes)) if kind.folds else np.full(len(world.classes), -1)
    most = kind.trials + (kind.top + 1) * kind.seeds
    truth = CEILING - kind.gap * rng.exponential(size=most)
    truth[0] = CEILING - kind.gap
    costs = rng.integers(1, 4, most) if rng.random() < 0.5 else np.ones(most)
    searched = [world.train(config, truth[config]) for config in range(most)]
    found = np.array([_score(_of_fold(reads, folds, 0), images) for reads in searched])
    candidates = [0, *(1 + np.argsort(-found[1 : kind.trials], kind="stable")[: kind.top]).tolist()]
    rounds = {
        config: tuple(_of_fold(world.train(config, truth[config]), folds, turn) for turn in range(kind.seeds))
        for config in candidates
    }
    others = {} if kind.folds else {0: (float(found[0]),)}  # the base was not chosen for its number
    entrants = [Entrant(config, float(costs[config]), reads, others.get(config, ())) for config, reads in rounds.items()]
    race = Race(entrants, Rules(kind.seeds, 2), images)
    chosen, leader = race.chosen(), race.ranked[0]
    rival = chosen if chosen != 0 else next(trial for trial in race.standing.ranked if trial != 0)
    accuracy, difference = race.accuracy(chosen), race.difference(rival, 0)
    best, lucky = truth[: kind.trials].max(), int(np.argmax(found[: kind.trials]))
    further = 0 if kind.given else race.trainings
    naive, naive_lead = _naive(searched[lucky], searched[0], images)
    return Outcome(
        trainings=race.trainings,
        saved=1.0 - race.trainings / ((kind.top + 1) * kind.seeds),
        clear=len(race.running) == 1 or (chosen != 0 and difference.low > 0),
        wrong=any(truth[left.trial] >= truth[left.leader] for left in race.left),
        covered=_covers(accuracy, truth[chosen]),
        difference_covered=_covers(difference, truth[rival] - truth[0]),
        width=accuracy.high - accuracy.low,
        one_cost=bool(np.all(costs == 1)),
        saved_cost=1.0 - float(costs[chosen] / costs[leader]),
        regret=best - truth[chosen],
        argmax_regret=best - truth[int(np.argmax(found[: kind.trials + further]))],
        grid_regret=best - truth[_grid(race.trainings, rounds, images)],
        argmax_covered=_covers(naive, truth[lucky]),
        argmax_clear=naive_lead.low > 0,
    )


def _of_fold(reads: Reads, folds: NDArray[np.int64], turn: int) -> Reads:
    """What a training makes of the images of its turn; of all where there are no folds."""
    return np.where((folds == turn) | (folds < 0), reads, -1).astype(np.int8)


def _naive(reads: Reads, base: Reads, images: Images) -> tuple[Interval, Interval]:
    """The intervals of one training: of its accuracy and of its lead, over images alone."""
    mine, others = reads.astype(float), base.astype(float)
    lead = difference_estimate(mine, others, images.clusters, macro=True)
    return accuracy_estimate(mine, images.clusters, macro=True).share(), lead.interval()


def _covers(interval: Interval, truth: float) -> bool:
    return interval.low - 1e-12 <= truth <= interval.high + 1e-12


def _score(reads: Reads, images: Images) -> float:
    at = np.flatnonzero(reads >= 0)
    return images.clusters.at(at).mean(reads[at] == 1, macro=True)


def _grid(trainings: int, rounds: Mapping[int, tuple[Reads, ...]], images: Images) -> int:
    """Who has the best mean when all candidates are trained alike often, give or take one."""
    whole, rest = divmod(trainings, len(rounds))
    means = {}
    for place, (config, reads) in enumerate(rounds.items()):
        means[config] = float(np.mean([_score(one, images) for one in reads[: whole + (place < rest)]]))
    return max(means, key=lambda config: means[config])


def table(kind: Kind, sweeps: int, first_seed: int = 0) -> dict[str, float]:
    """Means over sweeps of one kind; accuracies in points."""
    outcomes = [sweep(first_seed + seed, kind) for seed in range(sweeps)]
    found = {name: float(np.mean([getattr(outcome, name) for outcome in outcomes])) for name in _SHARES}
    found |= {name: 100 * float(np.mean([getattr(outcome, name) for outcome in outcomes])) for name in _POINTS}
    for name in ("regret", "grid_regret"):
        at_one_cost = [getattr(outcome, name) for outcome in outcomes if outcome.one_cost]
        found[f"{name}_at_one_cost"] = 100 * float(np.mean(at_one_cost))
    return found


_SHARES = (
    "trainings",
    "saved",
    "clear",
    "wrong",
    "covered",
    "difference_covered",
    "saved_cost",
    "argmax_covered",
    "argmax_clear",
)
_POINTS = ("width", "regret", "argmax_regret", "grid_regret")


def broken(kind: Kind, found: Mapping[str, float]) -> list[str]:
    """What a table promises and does not hold."""
    promises = {
        "covered >= 0.93": found["covered"] >= 0.93,
        "difference_covered >= 0.93": found["difference_covered"] >= 0.93,
        "clear <= 0.05": kind.gap > 0 or found["clear"] <= 0.05,
        "regret < argmax_regret": kind.gap == 0 or found["regret"] < found["argmax_regret"],
    }
    return [f"{kind.name}: {promise}" for promise, held in promises.items() if not held]


def main() -> int:
    """Print a line for each kind of sweep, and fail where a promise is broken."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sweeps", type=int, default=500, help="of each kind")
    sweeps = parser.parse_args().sweeps
    problems = []
    for kind in KINDS:
        found = table(kind, sweeps * kind.times)
        problems += broken(kind, found)
        print(json.dumps({"kind": kind.name, **{name: round(value, 3) for name, value in found.items()}}), flush=True)  # noqa: T201
    print(json.dumps({"sweeps": sweeps, "broken": problems}))  # noqa: T201
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
