"""Effects on the width of strokes: erosion and dilation by a share of it, in fractions of a pixel."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ocr_sweep.augment.op import Image, Range, draw_between

_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
_OUTLINE_EXCESS = 4.0 / np.pi  # how much longer city blocks measure an outline than a ruler does, over all directions


def stroke_width(image: Image) -> float:
    """Mean width of the strokes in pixels: twice the inked area over the length of its outline."""
    steps = cv2.norm(image[1:], image[:-1], cv2.NORM_L1) + cv2.norm(image[:, 1:], image[:, :-1], cv2.NORM_L1)
    return float(2.0 * image.sum(dtype=np.int64) * _OUTLINE_EXCESS / max(1.0, steps))


def _morph(operation: int, image: Image, radius: float) -> Image:
    """Erode or dilate by a radius in pixels; a fraction is a blend of the two whole numbers around it."""
    whole = int(radius)
    if whole:
        image = np.asarray(cv2.morphologyEx(image, operation, _CROSS, iterations=whole), dtype=np.uint8)
    further = cv2.morphologyEx(image, operation, _CROSS)
    return np.asarray(cv2.addWeighted(image, 1.0 - (radius - whole), further, radius - whole, 0.0), dtype=np.uint8)


@dataclass(frozen=True)
class Erosion:
    """Strokes get thinner from both sides."""

    radius_range: Range  # share of the stroke's width, each side

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> float:
        """Draw the radius."""
        return draw_between(rng, self.radius_range, strength)

    def apply(self, image: Image, parameters: float) -> Image:
        """Thin the strokes of (S, S)."""
        return _morph(cv2.MORPH_ERODE, image, parameters * stroke_width(image))


@dataclass(frozen=True)
class Dilation:
    """Strokes get bolder on both sides."""

    radius_range: Range  # share of the stroke's width, each side

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> float:
        """Draw the radius."""
        return draw_between(rng, self.radius_range, strength)

    def apply(self, image: Image, parameters: float) -> Image:
        """Embolden the strokes of (S, S)."""
        return _morph(cv2.MORPH_DILATE, image, parameters * stroke_width(image))
