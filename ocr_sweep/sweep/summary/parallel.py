"""Parallel coordinates of a study: every trial as one line through its values."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ocr_sweep.sweep.summary.data import Dimension, Point, Trials
from ocr_sweep.sweep.summary.pictures import MANY, percents, require_spread
from ocr_sweep.sweep.summary.style import BEST, INK, QUIET, page, wrapped

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_NOT_ASKED = "not asked"


def parallel(trials: Trials, best: int | None) -> Figure:
    """A line per trial through its values, coloured by the metric; the best one is drawn on top."""
    require_spread(trials)
    from matplotlib import colormaps
    from matplotlib.colors import Normalize

    points = sorted(trials.complete, key=lambda point: (point.trial == best, point.value))
    figure, axes = page(max(6.4, 1.7 * (len(trials.dimensions) + 1)), 4.6)
    axes.set_title(f"{trials.study}: every trial through its values", pad=16)
    values = percents(points)
    norm, colours = Normalize(min(values), max(values) if max(values) > min(values) else min(values) + 1), colormaps["Blues"]
    scales = [_Scale(dimension, points) for dimension in trials.dimensions]
    for point, value in zip(points, values, strict=True):
        ways = [*(scale.share(scale.dimension.place(point)) for scale in scales), float(norm(value))]
        if point.trial == best:
            axes.plot(range(len(ways)), ways, "o-", color=BEST, lw=2.4, ms=5, label="winner", zorder=3)
        else:
            axes.plot(range(len(ways)), ways, "o-", color=colours(0.3 + 0.7 * norm(value)), lw=1.2, ms=4, alpha=_alpha(points))
    for place, scale in enumerate(scales):
        _axis(axes, place, scale.ticks())
    _axis(axes, len(scales), [(float(norm(value)), f"{value:.1f}") for value in sorted({min(values), max(values)})])
    axes.set(xlim=(-0.25, len(scales) + 0.45), ylim=(-0.06, 1.06), yticks=[])
    axes.set_xticks(range(len(scales) + 1), [*(wrapped(scale.dimension.name) for scale in scales), wrapped(trials.axis)])
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0, labelcolor=INK)
    if any(point.trial == best for point in points):
        axes.legend(loc="lower right", bbox_to_anchor=(1.0, 1.02))
    return figure


def _alpha(points: Sequence[Point]) -> float:
    return 1.0 if len(points) <= MANY else 0.4


class _Scale:
    """Where a dimension's values lie between the foot and the head of its axis."""

    def __init__(self, dimension: Dimension, points: Sequence[Point]) -> None:
        self.dimension = dimension
        places = [place for point in points if (place := dimension.place(point)) is not None]
        self._missing = len(places) < len(points)
        if dimension.choices:
            places = [0.0, float(len(dimension.choices) - 1)]
        self._ends = (min(places), max(places)) if places else None

    def share(self, place: float | None) -> float:
        """0 at the foot; where some trials were not asked for a value, the foot is theirs."""
        foot = 0.16 if self._missing else 0.0
        if place is None or self._ends is None:
            return 0.0
        low, high, at = (math.log(x) for x in (*self._ends, place)) if self.dimension.log else (*self._ends, place)
        return foot + (1.0 - foot) * ((at - low) / (high - low) if high > low else 0.5)

    def ticks(self) -> list[tuple[float, str]]:
        """Places and what stands there."""
        missing = [(0.0, _NOT_ASKED)] if self._missing else []
        if self._ends is None:
            return missing
        if self.dimension.choices:
            return [*missing, *((self.share(float(place)), label) for place, label in enumerate(self.dimension.choices))]
        return [*missing, *((self.share(end), f"{end:.3g}") for end in sorted(set(self._ends)))]


def _axis(axes: Axes, place: int, ticks: Sequence[tuple[float, str]]) -> None:
    axes.axvline(place, color=QUIET, lw=0.8, ymin=0.06 / 1.12, ymax=1.06 / 1.12, zorder=1)
    for height, text in ticks:
        label = axes.text(place + 0.04, height, text, va="center", fontsize=9, color=INK, zorder=5)
        label.set_bbox({"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 0.8})
