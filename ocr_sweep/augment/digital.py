"""Effects of storing a picture: fewer pixels, and JPEG."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ocr_sweep.augment.op import Image, Range, draw_between


@dataclass(frozen=True)
class LowResolution:
    """The picture was once smaller."""

    factor_range: Range  # share of the side that the small picture had

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> int:
        """Draw the side of the small picture in pixels."""
        return max(1, round(size * draw_between(rng, self.factor_range, strength, neutral=1.0)))

    def apply(self, image: Image, parameters: int) -> Image:
        """Shrink (S, S) and enlarge it again."""
        small = cv2.resize(image, (parameters, parameters), interpolation=cv2.INTER_AREA)
        return np.asarray(cv2.resize(small, image.shape, interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


@dataclass(frozen=True)
class Jpeg:
    """Rings and blocks of JPEG."""

    quality_range: Range  # of 100

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> int:
        """Draw the quality."""
        return round(draw_between(rng, self.quality_range, strength, neutral=100.0))

    def apply(self, image: Image, parameters: int) -> Image:
        """Write (S, S) as JPEG and read it back."""
        _, code = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, parameters])
        return np.asarray(cv2.imdecode(code, cv2.IMREAD_GRAYSCALE), dtype=np.uint8)
