"""Black and white: what a scanner's or an archive's threshold leaves."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ocr_sweep.augment.op import Image, Range, draw_between


@dataclass(frozen=True)
class Binarisation:
    """Every pixel becomes paper or ink, by Otsu's threshold or a random one, each half of the time."""

    threshold_range: Range  # share of the darkest ink

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> float | None:
        """Draw the threshold; None is Otsu's."""
        otsu = rng.random() < 0.5
        return None if otsu else draw_between(rng, self.threshold_range, strength, neutral=0.5)

    def apply(self, image: Image, parameters: float | None) -> Image:
        """(S, S) of 0 and 255."""
        if parameters is None:
            return np.asarray(cv2.threshold(image, 0, 255, cv2.THRESH_OTSU)[1], dtype=np.uint8)
        return np.asarray(cv2.threshold(image, parameters * int(image.max()), 255, cv2.THRESH_BINARY)[1], dtype=np.uint8)
