"""Two objectives: which trials are better than every other that costs no more."""

from __future__ import annotations

from collections.abc import Sequence


def on_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For each (value, cost): whether no other point has at least its value for at most its cost, and is better in one."""
    order = sorted(range(len(points)), key=lambda index: (points[index][1], -points[index][0]))
    kept = [False] * len(points)
    best: tuple[float, float] | None = None
    for index in order:
        kept[index] = best is None or points[index][0] > best[0] or points[index] == best
        best = points[index] if kept[index] else best
    return kept
