"""Characters: which got better or worse from the second arm to the best one, and which pairs each arm mixes up."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.metrics import confused_pairs
from ocr_sweep.report.arms import Arm, in_split
from ocr_sweep.report.thumbnails import glyph_uri, image_uri
from ocr_sweep.store import CorpusView

_SHOWN, _SAMPLES, _PAIRS = 12, 3, 10


@dataclass(frozen=True)
class Character:
    """A class as a page shows it."""

    char: str
    code: str  # U+XXXX
    picture: str | None  # data URI


@dataclass(frozen=True)
class Change:
    """How one character fares in two arms on val."""

    character: Character
    before: float  # accuracy of the second arm
    after: float  # accuracy of the best arm
    num_images: int
    samples: tuple[str, ...]  # data URIs of images whose reading changed


@dataclass(frozen=True)
class Pair:
    """One character read as another."""

    written: Character
    read: Character
    count: float  # mean over the runs


def character(view: CorpusView, class_id: int) -> Character:
    """The page's form of a class."""
    char = view.chars[class_id]
    return Character(char, f"U+{ord(char):04X}", glyph_uri(view, class_id))


def changes(best: Arm, second: Arm, view: CorpusView) -> tuple[list[Change], list[Change]]:
    """Characters that the best arm reads better than the second, and worse; greatest change first."""
    val = in_split(best, view, "val")
    gain = np.where(val, best.correct - second.correct, 0.0)
    counts = np.bincount(best.label[val], minlength=view.num_classes)
    net = np.bincount(best.label, weights=gain, minlength=view.num_classes) / np.maximum(counts, 1)
    order = np.argsort(-np.abs(net), kind="stable")
    better = [int(k) for k in order if net[k] > 0.0][:_SHOWN]
    worse = [int(k) for k in order if net[k] < 0.0][:_SHOWN]
    return (
        [_change(k, best, second, val, gain, view) for k in better],
        [_change(k, best, second, val, -gain, view) for k in worse],
    )


def _change(
    class_id: int, best: Arm, second: Arm, val: NDArray[np.bool_], flipped: NDArray[np.float64], view: CorpusView
) -> Change:
    of_class = np.flatnonzero(val & (best.label == class_id))
    samples = [i for i in of_class[np.argsort(-flipped[of_class], kind="stable")][:_SAMPLES] if flipped[i] > 0.0]
    return Change(
        character(view, class_id),
        float(second.correct[of_class].mean()),
        float(best.correct[of_class].mean()),
        len(of_class),
        tuple(image_uri(view.images[best.index[i]]) for i in samples),
    )


def pairs(arm: Arm, view: CorpusView) -> list[Pair]:
    """The pairs that an arm mixes up most often on val, mean over its runs."""
    val = in_split(arm, view, "val")
    total: Counter[tuple[int, int]] = Counter()
    for predicted in arm.predicted:
        judged = val & (predicted >= 0)
        for label, read, count in confused_pairs(arm.label[judged], predicted[judged], int(judged.sum())):
            total[label, read] += count
    ranked = sorted(total.items(), key=lambda item: (-item[1], item[0]))[:_PAIRS]
    return [Pair(character(view, label), character(view, read), count / len(arm.runs)) for (label, read), count in ranked]
