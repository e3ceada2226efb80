"""Effects of storing a picture: fewer pixels, and JPEG."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ocr_sweep.augment.op import Chance, Entry, Image, Parameters, Range, between


@dataclass(frozen=True)
class LowResolution:
    """The picture was once smaller."""

    factor_range: Range  # share of the side that the small picture had
    num_draws: ClassVar[int] = 1

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw the side of the small picture in pixels, (m,)."""
        return np.asarray(np.maximum(1.0, np.rint(size * between(chance[:, 0], self.factor_range, strength, neutral=1.0))))

    def apply(self, image: Image, entry: Entry) -> Image:
        """Shrink (S, S) and enlarge it again."""
        side = int(entry)
        small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, image.shape, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


@dataclass(frozen=True)
class Jpeg:
    """Rings and blocks of JPEG."""

    quality_range: Range  # of 100
    num_draws: ClassVar[int] = 1

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw the quality, (m,)."""
        return np.rint(between(chance[:, 0], self.quality_range, strength, neutral=100.0))

    def apply(self, image: Image, entry: Entry) -> Image:
        """Write (S, S) as JPEG and read it back."""
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, int(entry)])
        return np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
