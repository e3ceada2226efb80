"""Samplers: one fresh object for every proposal, seeded by (study, trial), and how much of the past it is shown."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, GPSampler, NSGAIISampler, QMCSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from ocr_sweep.config.sampler import SamplerConfig
from ocr_sweep.config.space import CategoricalRange, FloatRange, IntRange, Range
from ocr_sweep.sweep.search.front import on_front

_SIGHT = {"tpe": 1000, "gp": 250}  # finished trials that are shown: a tenth for the best, the others for the latest


def make_sampler(config: SamplerConfig, trial: int) -> BaseSampler:
    """The sampler for one trial, seeded by (study, trial): a resumed study goes on instead of proposing its past again."""
    seed = (config.seed * 1_000_003 + trial) % 2**32
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        match config.kind:
            case "tpe":
                return TPESampler(seed=seed, n_startup_trials=config.startup_trials, multivariate=True, group=True)
            case "gp":
                return GPSampler(seed=seed, n_startup_trials=config.startup_trials, warn_independent_sampling=False)
            case "nsga2":
                return NSGAIISampler(seed=seed, population_size=config.population)
            case "qmc":  # one sequence for the whole study, hence one seed
                random = RandomSampler(seed=seed)
                return QMCSampler(seed=config.seed, scramble=True, independent_sampler=random, warn_independent_sampling=False)
            case "random" | "grid":  # a point of the grid is chosen before a sampler is asked
                return RandomSampler(seed=seed)


def in_sight(config: SamplerConfig, trials: Sequence[FrozenTrial]) -> Sequence[FrozenTrial]:
    """What a sampler is shown of the past: all of it, or where that would cost too much the best and the latest.

    TPE and Gaussian processes take longer with every result that they see, and learn little from an old poor one.
    """
    if config.kind in ("random", "grid"):
        return []
    limit = _SIGHT.get(config.kind, len(trials))
    if len(trials) <= limit:
        return trials
    finished = [trial for trial in trials if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)]
    best = _best([trial for trial in finished if trial.state == TrialState.COMPLETE], limit // 10)
    latest = [trial for trial in finished if trial.number not in best]
    chosen = best | {trial.number for trial in latest[len(best) - limit :]}
    return [trial for trial in trials if trial.number in chosen or trial.state == TrialState.RUNNING]


def _best(trials: Sequence[FrozenTrial], count: int) -> set[int]:
    """The numbers of the best trials; with two objectives those of the front first."""
    points = [tuple(trial.values) for trial in trials]
    behind = (
        [not ahead for ahead in on_front([(value, cost) for value, cost in points])] if points and len(points[0]) > 1 else None
    )
    order = sorted(range(len(points)), key=lambda index: (behind[index] if behind else False, -points[index][0], index))
    return {trials[index].number for index in order[:count]}


def distribution(space: Range) -> BaseDistribution:
    """A range in Optuna's words."""
    match space:
        case FloatRange(low=low, high=high, log=log, step=step):
            return FloatDistribution(low, high, log=log, step=step)
        case IntRange(low=low, high=high, log=log, step=step):
            return IntDistribution(low, high, log=log, step=step)
        case CategoricalRange(labels=labels):
            return CategoricalDistribution(labels)
