"""Which drawings are accepted: those that an independent recogniser reads as what they are meant to be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Images = NDArray[np.uint8]


@dataclass(frozen=True)
class Verdict:
    """What the recogniser says of one drawing."""

    char: str  # what it is meant to be
    read_as: str
    probability: float  # of `read_as`
    accepted: bool


def judge(probabilities: NDArray[np.float32], classes: str, chars: Sequence[str], threshold: float) -> list[Verdict]:
    """Accept what is read as the right character with at least the probability `threshold`.

    Args:
        probabilities: (N, K), of N drawings.
        classes: the K characters.
        chars: what each drawing is meant to be.
    """
    best = probabilities.argmax(axis=1).tolist()
    verdicts = []
    for row, (char, class_id) in enumerate(zip(chars, best, strict=True)):
        probability = float(probabilities[row, class_id])
        verdicts.append(Verdict(char, classes[class_id], probability, classes[class_id] == char and probability >= threshold))
    return verdicts


def accepted_share(verdicts: Sequence[Verdict]) -> float:
    """The acceptance rate."""
    return sum(verdict.accepted for verdict in verdicts) / len(verdicts)


def measure(
    drawn: Sequence[Verdict], true: Sequence[Verdict], drawings: Images, glyphs: Images, source: Images
) -> dict[str, Any]:
    """Return the acceptance on held-back characters of one style, beside what bounds it.

    `ceiling` is the recogniser's own rate on the true glyphs; the distances are mean absolute differences of ink (0 to 1) to
    the true glyph, of the drawings and, for comparison, of the untouched source glyphs.
    """
    return {
        "characters": len(drawn),
        "accepted": accepted_share(drawn),
        "ceiling": accepted_share(true),
        "distance_of_drawings": _distance(drawings, glyphs),
        "distance_of_source": _distance(source, glyphs),
        "refused": "".join(verdict.char for verdict in drawn if not verdict.accepted),
    }


def _distance(images: Images, glyphs: Images) -> float:
    return float(np.abs(images.astype(np.float32) - glyphs).mean() / 255)
