"""Pictures of a study: how the search went, what mattered, and where the good trials lie."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

import optuna

from ocr_sweep.sweep.summary.data import Dimension, Point, Trials
from ocr_sweep.sweep.summary.style import BASE, BEST, QUIET, TRIAL, WRONG, CannotDrawError, page, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from ocr_sweep.sweep.confirmation.judge import Verdict

MANY = 60  # trials beyond which whiskers would hide what they explain
_MIN_IMPORTANCE = 20  # complete trials
_MIN_GOOD = 5  # of them that PED-ANOVA must be able to call good
_FLAT = 26  # characters below an axis that fit side by side
_COLUMNS = 4  # slices side by side


def history(trials: Trials, verdict: Verdict | None) -> Figure:
    """Every trial in order, the best so far, and the confirmed winner and base."""
    complete = trials.complete
    pruned = [point for point in trials.points if point.state == "pruned" and point.value is not None]
    if not complete and not pruned:
        raise CannotDrawError("no trial ended with a result")
    from matplotlib.ticker import MaxNLocator

    figure, axes = page(8.4, 4.4)
    axes.set_title(f"{trials.study}: the search in order")
    if complete:
        _searched(axes, complete, _size(trials))
    if pruned:
        label = "pruned, where it was given up"
        axes.plot(_numbers(pruned), percents(pruned), "o", mfc="none", color=QUIET, ms=_size(trials), label=label)
    if verdict is not None:
        _confirmed(axes, verdict)
    failed = [point.trial for point in trials.points if point.state == "failed"]
    if failed:
        axes.plot(failed, [0.02] * len(failed), "x", color=WRONG, transform=axes.get_xaxis_transform(), label="failed")
    axes.set(xlabel="trial", ylabel=trials.axis)
    axes.set_xlim(-0.6, max(point.trial for point in trials.points) + 0.6)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    return figure


def _searched(axes: Axes, points: Sequence[Point], size: float) -> None:
    """The complete trials and the best so far."""
    label = "trial"
    known = [
        (point.trial, 100 * point.low, 100 * point.high) for point in points if point.low is not None and point.high is not None
    ]
    if known and len(points) <= MANY:
        label = "trial, with 95 % interval"
        trials, lows, highs = zip(*known, strict=True)
        axes.vlines(trials, lows, highs, TRIAL, alpha=0.35)
    numbers, values = _numbers(points), percents(points)
    axes.plot(numbers, values, "o", color=TRIAL, ms=size, label=label)
    best = list(itertools.accumulate(values, max))
    axes.step(numbers, best, where="post", color=TRIAL, lw=1, alpha=0.6, label="best so far")


def _confirmed(axes: Axes, verdict: Verdict) -> None:
    """The numbers that decide, beside the trials they confirm."""
    shown = {
        0: (verdict.base_interval, BASE, "base, mean of fresh seeds"),
        verdict.winner: (verdict.interval, BEST, "winner, mean of fresh seeds"),
    }
    for trial, (interval, colour, label) in shown.items():
        value, low, high = (100 * x for x in (interval.value, interval.low, interval.high))
        axes.errorbar(
            [trial + 0.22], [value], [[value - low], [high - value]], fmt="D", color=colour, ms=6, capsize=3, label=label
        )


def importance(trials: Trials, optuna_study: optuna.Study) -> Figure:
    """Which searched value told good trials from the rest, by PED-ANOVA."""
    found = importances(trials, optuna_study)
    names = {dimension.path: dimension.name for dimension in trials.dimensions}
    ranked = sorted(found.items(), key=lambda pair: pair[1])
    figure, axes = page(8.4, 1.9 + 0.36 * len(ranked))
    axes.barh([names[path] for path, _ in ranked], [100 * share for _, share in ranked], color=TRIAL, height=0.62)
    for place, (_, share) in enumerate(ranked):
        axes.text(100 * share, place, f" {100 * share:.0f} %", va="center", color=QUIET)
    num = len(trials.complete)
    axes.set(
        xlabel=f"share, % (PED-ANOVA: the best {_num_good(num)} of {num} complete trials against all)",
        xlim=(0, 112 * max(share for _, share in ranked)),
    )
    axes.grid(visible=False, axis="y")
    figure.suptitle(f"{trials.study}: which values tell good trials from the rest", x=0.01, ha="left", fontsize=13)
    return figure


def importances(trials: Trials, optuna_study: optuna.Study) -> dict[str, float]:
    """Search path -> share, by PED-ANOVA (Watanabe et al., arXiv:2304.10255): it knows conditional values.

    Raises:
        CannotDrawError: there is too little to tell.
    """
    num = len(trials.complete)
    if not trials.dimensions:
        raise CannotDrawError("nothing is searched")
    if num < _MIN_IMPORTANCE:
        raise CannotDrawError(f"PED-ANOVA needs {_MIN_IMPORTANCE} complete trials, and there are {num}")
    best_is_least = (lambda trial: -trial.values[0]) if len(optuna_study.directions) > 1 else None
    evaluator = optuna.importance.PedAnovaImportanceEvaluator(target_quantile=_num_good(num) / num)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(optuna_study, evaluator=evaluator, target=best_is_least)
    known = {dimension.path: found[dimension.path] for dimension in trials.dimensions if dimension.path in found}
    if not any(known.values()):
        raise CannotDrawError("PED-ANOVA sees no searched value that tells good trials from the rest")
    return known


def _num_good(num_complete: int) -> int:
    return max(_MIN_GOOD, math.ceil(0.1 * num_complete))


def slices(trials: Trials, best: int | None) -> Figure:
    """The metric against each searched value by itself."""
    require_spread(trials)
    columns = min(_COLUMNS, len(trials.dimensions))
    rows = -(-len(trials.dimensions) // columns)
    figure, empty = page(max(5.6, 3.1 * columns), 0.7 + 3.0 * rows)
    empty.remove()
    figure.suptitle(f"{trials.study}: each searched value by itself", x=0.01, ha="left", fontsize=13)
    first: Axes | None = None
    for place, dimension in enumerate(trials.dimensions):
        axes = figure.add_subplot(rows, columns, place + 1, sharey=first)
        first = first or axes
        _slice(axes, trials, dimension, best)
        if place % columns:
            axes.tick_params(labelleft=False)
        else:
            axes.set_ylabel(trials.axis)
    return figure


def _slice(axes: Axes, trials: Trials, dimension: Dimension, best: int | None) -> None:
    points = [point for point in trials.complete if dimension.place(point) is not None]
    places = [dimension.place(point) or 0.0 for point in points]
    if dimension.choices:
        places = [place + 0.26 * ((0.618 * point.trial) % 1.0 - 0.5) for place, point in zip(places, points, strict=True)]
    colours = [BEST if point.trial == best else BASE if point.trial == 0 else TRIAL for point in points]
    axes.scatter(places, percents(points), s=_size(trials) ** 2, c=colours, alpha=0.85, linewidths=0)
    for point, place in zip(points, places, strict=True):
        if point.trial in (0, best):
            name = "winner" if point.trial else "base, winner" if point.trial == best else "base"
            axes.annotate(name, (place, 100 * (point.value or 0)), (5, 5), textcoords="offset points", fontsize=8, color=QUIET)
    missing = len(trials.complete) - len(points)
    axes.set_xlabel(dimension.name + (f" ({len(points)} of {len(trials.complete)} trials)" if missing else ""))
    if dimension.choices:
        labels = [wrapped(choice, 10) for choice in dimension.choices]
        longest = max(len(line) for label in labels for line in label.splitlines())
        flat = longest * len(labels) <= _FLAT
        labels = labels if flat else list(dimension.choices)
        axes.set_xticks(range(len(labels)), labels, rotation=0 if flat else 35, ha="center" if flat else "right")
        axes.set_xlim(-0.5, len(labels) - 0.5)
    elif dimension.log:
        axes.set_xscale("log")
    axes.margins(x=0.1, y=0.12)


def require_spread(trials: Trials) -> None:
    """Refuse to draw how trials differ where there is nothing in which, or nothing that differs.

    Raises:
        CannotDrawError: there is not.
    """
    if not trials.dimensions:
        raise CannotDrawError("nothing is searched")
    if len(trials.complete) < 2:
        raise CannotDrawError(f"it needs two complete trials, and there {'is one' if trials.complete else 'are none'}")


def _numbers(points: Sequence[Point]) -> list[int]:
    return [point.trial for point in points]


def percents(points: Sequence[Point]) -> list[float]:
    """The metric of each."""
    return [100 * (point.value or 0.0) for point in points]


def _size(trials: Trials) -> float:
    """Of a trial's mark."""
    return 6.0 if len(trials.points) <= MANY else 3.5
