"""The grid of a study: every point of its space once, in an order shuffled by the study's seed."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ocr_sweep.config.space import is_active
from ocr_sweep.config.study import StudyConfig

Point = dict[str, Any]


class Grid:
    """Says which point comes next. What it says depends on the points that were tried, not on who asks or when."""

    def __init__(self, study: StudyConfig) -> None:
        self._points = list(_points(study, study.ordered_search(), {}))
        random.Random(study.sampler.seed).shuffle(self._points)

    def __len__(self) -> int:
        return len(self._points)

    def next(self, wanted: Mapping[str, Any], tried: Sequence[Mapping[str, Any]]) -> Point | None:
        """The first point that nobody tried, one with the wanted values where there is such a one; None: all were tried."""
        known = {_key(params) for params in tried}
        left = [point for point in self._points if _key(point) not in known]
        return next((point for point in left if wanted.items() <= point.items()), left[0] if left else None)


def _points(study: StudyConfig, paths: Sequence[str], point: Point) -> Iterator[Point]:
    if not paths:
        yield point
        return
    space = study.search[paths[0]]
    values = space.points() if is_active(space, point) else []
    for value in values:
        yield from _points(study, paths[1:], {**point, paths[0]: value})
    if not values:
        yield from _points(study, paths[1:], point)


def _key(params: Mapping[str, Any]) -> tuple[tuple[str, Any], ...]:
    return tuple(sorted(params.items()))
