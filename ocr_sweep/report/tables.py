"""The tables of a comparison as plain text cells: accuracy, configuration, cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.metrics import Interval
from ocr_sweep.report.arms import Arm, in_split, standing
from ocr_sweep.report.runs import ComparedRun
from ocr_sweep.report.words import COSTS, amount
from ocr_sweep.store import CLASS_GROUPS, CorpusView, class_group

_GROUP_MEANING = {
    "unseen": "no real training image",
    "few": "1 to 19 real training images",
    "medium": "20 to 100 real training images",
    "many": "more than 100 real training images",
}


@dataclass(frozen=True)
class AccuracyRow:
    """One slice of the images, judged for each arm."""

    name: str
    note: str
    num_images: int
    num_classes: int
    intervals: tuple[Interval, ...]  # by arm


def accuracy_rows(arms: Sequence[Arm], view: CorpusView, split: str) -> list[AccuracyRow]:
    """Overall, per named set and per class group of a split; empty where there is no image of it."""
    first = arms[0]
    whole = in_split(first, view, split)
    if not whole.any():
        return []
    rows = [
        _row(arms, f"{split}, by character", "mean over the characters", whole),
        _row(arms, f"{split}, by image", "share of the images", whole, macro=False),
    ]
    sets = [name for name in view.set_names if name.startswith(f"{split}/")]
    rows += [_row(arms, name, "named set", in_split(first, view, name)) for name in sets if len(sets) > 1]
    groups = np.array([class_group(int(count)) for count in view.real_counts])[first.label]
    rows += [_row(arms, name, _GROUP_MEANING[name], whole & (groups == name)) for name in CLASS_GROUPS]
    return [row for row in rows if row.num_images]


def _row(arms: Sequence[Arm], name: str, note: str, chosen: NDArray[np.bool_], *, macro: bool = True) -> AccuracyRow:
    found = standing(arms, chosen, macro=macro) if chosen.any() else None
    intervals = tuple(found.accuracy(place).share() for place in range(len(arms))) if found is not None else ()
    return AccuracyRow(name, note, int(chosen.sum()), len(np.unique(arms[0].label[chosen])), intervals)


def config_rows(arms: Sequence[Arm]) -> list[tuple[str, list[str]]]:
    """The configuration keys whose values differ between arms, and the values of each arm's counted runs."""
    keys = sorted({key for arm in arms for run in arm.runs for key in run.config})
    rows = [(key, [_values(arm.runs, key) for arm in arms]) for key in keys]
    return [(key, cells) for key, cells in rows if len(set(cells)) > 1]


def _values(runs: Sequence[ComparedRun], key: str) -> str:
    return ", ".join(sorted({_text(run.config[key]) if key in run.config else "\N{EN DASH}" for run in runs}))


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else "none" if value is None else str(value)


def cost_rows(arms: Sequence[Arm]) -> list[tuple[str, list[str]]]:
    """What each arm costs, mean over its counted runs; costs that nobody measured are left out."""
    rows = [(cost.name, [arm.metric(metric) for arm in arms], metric) for metric, cost in COSTS.items()]
    return [
        (name, ["not measured" if cost is None else amount(metric, cost) for cost in costs])
        for name, costs, metric in rows
        if any(cost is not None for cost in costs)
    ]
