"""The long-tail picture: images per character, commonest character first, on a logarithmic scale."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from ocr_sweep.report.svg import Scale, drawing, left_axis, line, text
from ocr_sweep.store import CLASS_GROUPS, class_group

_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 960, 340, 52, 948, 46, 292  # pixels
_ZERO = 0.5  # where a logarithmic scale keeps its zeros

Counts = NDArray[np.int64]


def tail_order(real: Counts, rendered: Counts) -> Counts:
    """(K,) class ids: most real training images first, then most rendered ones."""
    return np.asarray(np.lexsort((np.arange(len(real)), -rendered, -real)), dtype=np.int64)


def group_bounds(ordered_real: Counts) -> list[tuple[str, int, int]]:
    """Class groups as (name, first, end) places in the order; groups without a class are left out."""
    groups = np.array([class_group(int(count)) for count in ordered_real])
    found = [(name, np.flatnonzero(groups == name)) for name in reversed(CLASS_GROUPS)]
    return [(name, int(places[0]), int(places[-1]) + 1) for name, places in found if len(places)]


def long_tail(real: Counts, rendered: Counts) -> Markup:
    """Draw real images as an area and rendered ones as a line over it, the class groups marked.

    Args:
        real, rendered: (K,) training images per class.
    """
    order = tail_order(real, rendered)
    ordered, drawn = real[order], rendered[order]
    across = Scale(0.0, float(len(real)), _LEFT, _RIGHT)
    up = Scale(_ZERO, max(2.0, 1.3 * float(max(ordered.max(), drawn.max()))), _BOTTOM, _TOP, log=True)
    parts = left_axis(_Decades(up), _LEFT, _RIGHT, "training images of the character, logarithmic", "{:g}".format)
    parts.append(text(_LEFT - 8, _BOTTOM + 4, "0", "tick", "end"))
    parts.append(Markup(f'<path d="{_area(ordered, across, up)}" class="area"/>'))
    if drawn.any():
        parts.append(Markup(f'<polyline points="{_line(drawn, across, up)}" class="curve a1"/>'))
    parts.append(line(_LEFT, _BOTTOM, _RIGHT, _BOTTOM, "zero-line"))
    for name, first, end in group_bounds(ordered):
        parts += _band(name, first, end, across)
    middle = (_LEFT + _RIGHT) / 2
    kind = "real" if real.any() else "rendered"
    parts.append(text(middle, _BOTTOM + 36, f"{len(real):,} characters, most {kind} images first", "axis", "middle"))
    return drawing(_WIDTH, _HEIGHT, "training images per character, commonest first", parts, wide=True)


class _Decades(Scale):
    """The same scale with powers of ten as its ticks."""

    def __init__(self, scale: Scale) -> None:
        super().__init__(scale.low, scale.high, scale.start, scale.end, scale.log)

    def ticks(self) -> list[float]:
        """1, 10, 100, ... within the scale; 1, 2, 5, ... where that is too few."""
        every = super().ticks()
        tens = [tick for tick in every if np.isclose(np.log10(tick) % 1.0, 0.0)]
        return [tick for tick in (tens if len(tens) > 2 else every) if tick >= 1.0]


def _area(counts: Counts, across: Scale, up: Scale) -> str:
    """A staircase: one step wherever the count changes, so that 17,000 classes make a short path."""
    edges = [0, *(np.flatnonzero(np.diff(counts)) + 1).tolist(), len(counts)]
    path = f"M{across(0):.1f} {_BOTTOM}"
    for first, end in pairwise(edges):
        y = up(max(_ZERO, float(counts[first])))
        path += f"L{across(first):.1f} {y:.1f}L{across(end):.1f} {y:.1f}"
    return f"{path}L{across(len(counts)):.1f} {_BOTTOM}z"


def _line(counts: Counts, across: Scale, up: Scale) -> str:
    """At most one step per two pixels, at the mean of the classes there."""
    steps = min(len(counts), (_RIGHT - _LEFT) // 2)
    edges = np.linspace(0, len(counts), steps + 1).astype(int)
    points = []
    for first, end in pairwise(edges.tolist()):
        y = up(max(_ZERO, float(counts[first:end].mean())))
        points += [f"{across(first):.1f},{y:.1f}", f"{across(end):.1f},{y:.1f}"]
    return " ".join(points)


def _band(name: str, first: int, end: int, across: Scale) -> list[Markup]:
    """A class group: its border, name and number of classes; a narrow one keeps its border only."""
    left, right = across(first), across(end)
    parts = [line(left, _TOP - 14, left, _BOTTOM, "border")] if first else []
    words, middle = f"{name} {end - first:,}", (left + right) / 2
    if right - left > 5.5 * len(words):
        parts.append(text(middle, _BOTTOM + 18, words, "name", "middle"))
    return parts


def shares_of_commonest(totals: Counts) -> list[tuple[str, float]]:
    """What share of the images the commonest characters hold: a few round numbers of them, up to all."""
    ordered = np.sort(totals)[::-1]
    whole = max(1, int(ordered.sum()))
    numbers = [n for n in (1, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000) if n < len(totals)]
    return [(f"{n:,}", float(ordered[:n].sum() / whole)) for n in numbers]
