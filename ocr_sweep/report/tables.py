"""The tables of a comparison as plain text cells: accuracy, configuration, cost."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.metrics import Interval
from ocr_sweep.report.arms import Arm, in_split, standing
from ocr_sweep.report.characters import Character, character
from ocr_sweep.report.runs import ComparedRun
from ocr_sweep.report.words import COSTS, amount
from ocr_sweep.store import CLASS_GROUPS, CorpusView, class_group

_PAIRS = 8
_CALIBRATION = {
    "val/ece": ("calibration error: distance of confidence and accuracy, mean over images", "{:.3f}"),
    "val/nll": ("negative log-likelihood, nats per image", "{:.3f}"),
    "calibration/temperature": ("temperature by which logits are divided", "{:.2f}"),
    "val/accuracy_confusable": ("told from all that look alike, share of the images", "{:.3f}"),
}
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
    lead: Interval | None = None  # of the best arm over the second, image by image; None where there is one arm
    characters: tuple[Character, ...] = ()  # that it is about


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
    if not chosen.any():
        return AccuracyRow(name, note, 0, 0, ())
    found = standing(arms, chosen, macro=macro)
    intervals = tuple(found.accuracy(place).share() for place in range(len(arms)))
    lead = found.difference(0, 1).interval() if len(arms) > 1 else None
    return AccuracyRow(name, note, int(chosen.sum()), len(np.unique(arms[0].label[chosen])), intervals, lead)


def confusable_rows(arms: Sequence[Arm], view: CorpusView) -> list[AccuracyRow]:
    """The pairs of characters that all arms together mix up most on val: how much of both is read right."""
    val = in_split(arms[0], view, "val")
    mixed: Counter[tuple[int, int]] = Counter()
    for arm in arms:
        for predicted in arm.predicted:
            wrong = val & (predicted >= 0) & (predicted != arm.label)
            ends = (one(arm.label[wrong], predicted[wrong]).tolist() for one in (np.minimum, np.maximum))
            mixed.update(zip(*ends, strict=True))
    ranked = sorted(mixed, key=lambda pair: (-mixed[pair], pair))
    label = arms[0].label
    rows = []
    for one, other in ranked[:_PAIRS]:
        chosen = val & ((label == one) | (label == other))
        if len(np.unique(label[chosen])) == 2:
            both = (character(view, one), character(view, other))
            row = _row(arms, f"{both[0].code} and {both[1].code}", f"mixed up {mixed[one, other]} times", chosen)
            rows.append(replace(row, characters=both))
    return rows


def calibration_rows(arms: Sequence[Arm]) -> list[tuple[str, list[str]]]:
    """How far each arm's confidence can be believed on val, mean over its counted runs; nothing of runs that do not know."""
    rows = [(name, [arm.metric(metric) for arm in arms], form) for metric, (name, form) in _CALIBRATION.items()]
    return [
        (name, ["not measured" if value is None else form.format(value) for value in values])
        for name, values, form in rows
        if any(value is not None for value in values)
    ]


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
