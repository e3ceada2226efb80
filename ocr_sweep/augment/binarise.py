"""Black and white: what a scanner's or an archive's threshold leaves."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ocr_sweep.augment.op import Chance, Entry, Image, Parameters, Range, between


@dataclass(frozen=True)
class Binarisation:
    """Every pixel becomes paper or ink, by Otsu's threshold or a random one, each half of the time."""

    threshold_range: Range  # share of the darkest ink
    num_draws: ClassVar[int] = 2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw the thresholds, (m,); not-a-number is Otsu's."""
        thresholds = between(chance[:, 1], self.threshold_range, strength, neutral=0.5)
        return np.where(chance[:, 0] < 0.5, np.nan, thresholds)

    def apply(self, image: Image, entry: Entry) -> Image:
        """(S, S) of 0 and 255."""
        if np.isnan(entry):
            return np.asarray(cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)[1], dtype=np.uint8)
        return np.asarray(cv2.threshold(image, float(entry) * int(image.max()), 255, cv2.THRESH_BINARY)[1], dtype=np.uint8)
