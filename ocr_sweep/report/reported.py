"""Published numbers beside ours: which of their differences mean something, and whether ours agree."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

from ocr_sweep.config.study import ReportedConfig
from ocr_sweep.metrics import Interval
from ocr_sweep.report.arms import Arm, in_split, standing
from ocr_sweep.report.words import points
from ocr_sweep.store import CorpusView


@dataclass(frozen=True)
class ReportedRow:
    """One arm against the first of the published ones."""

    arm: str
    reported: float
    reported_lead: float | None  # over the first; None for the first itself
    telling: bool  # the published difference is more than images alone can make
    accuracy: Interval | None  # ours on val, by image; None: the arm has no run
    lead: Interval | None  # ours over the first, paired
    conclusion: str


@dataclass(frozen=True)
class Reported:
    """The table, and what has to be known to read it."""

    config: ReportedConfig
    rows: tuple[ReportedRow, ...]
    note: str


def beside_reported(config: ReportedConfig, arms: Sequence[Arm], view: CorpusView) -> Reported:
    """Set published accuracies beside the arms' accuracy by image on val.

    Two published accuracies tell their arms apart when they differ by more than 1.96 standard errors of a difference of
    two binomials: on as many images as their author names, or, where nobody says, on as many as ours.
    """
    places = {arm.name: place for place, arm in enumerate(arms)}
    ours = standing(arms, in_split(arms[0], view, "val"), macro=False)
    tail = 0.025 / max(1, len(set(places) & set(config.values)) - 1)  # all of our differences hold together
    images = config.images or int(in_split(arms[0], view, "val").sum())
    (first, base), *_ = config.values.items()
    rows = []
    for name, value in config.values.items():
        lead = None
        if name != first and name in places and first in places:
            lead = ours.difference(places[name], places[first]).interval(tail)
        telling = name != first and abs(value - base) > _margin(value, base, images)
        rows.append(
            ReportedRow(
                arm=name,
                reported=value,
                reported_lead=value - base if name != first else None,
                telling=telling,
                accuracy=ours.accuracy(places[name]).share() if name in places else None,
                lead=lead,
                conclusion=_conclusion(value - base, telling, lead) if name != first else "",
            )
        )
    return Reported(config, tuple(rows), _note(config, images, _margin(base, base, images)))


def _margin(one: float, other: float, images: int) -> float:
    """The largest difference that images alone make in 95 of 100 cases, as a share."""
    return NormalDist().inv_cdf(0.975) * math.sqrt((one * (1 - one) + other * (1 - other)) / images)


def _conclusion(reported: float, telling: bool, lead: Interval | None) -> str:
    if lead is None:
        return "not trained here"
    ours = "" if lead.low <= 0 <= lead.high else "ahead" if lead.value > 0 else "behind"
    if not telling:
        return f"reported: a tie; here {ours or 'a tie, too'}"
    theirs = "ahead" if reported > 0 else "behind"
    if not ours:
        return f"reported {theirs}; here undecided"
    return f"reported {theirs}; here {ours}, too" if ours == theirs else f"reported {theirs}; here {ours}: the other way round"


def _note(config: ReportedConfig, images: int, margin: float) -> str:
    on = f"on the {images:,} images that are named"
    if config.images is None:
        on = f"on as many images as here ({images:,}; theirs are not said)"
    return (
        f"{config.metric}, from {config.source}, one number an arm. Read {on}, two of them must lie {points(margin)} points "
        "apart before images alone cannot explain it; seeds come on top and are not said. Ours: val, by image, paired with the "
        "first arm, seeds included. Data, size and budget differ, so compare the order of the arms, never a number with a number."
    )
