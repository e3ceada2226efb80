"""Effects on the width of strokes: erosion and dilation by a share of it in fractions of a pixel, and bleeding ink."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ocr_sweep.augment.op import Chance, Entry, Image, Parameters, Range, between, enlarge

CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
OUTLINE_EXCESS = 4.0 / np.pi  # how much longer city blocks measure an outline than a ruler does, over all directions
BLEED_CELLS = 12


def stroke_width(image: Image) -> float:
    """Mean width of the strokes in pixels: twice the inked area over the length of its outline, at most the side."""
    steps = cv2.norm(image[1:], image[:-1], cv2.NORM_L1) + cv2.norm(image[:, 1:], image[:, :-1], cv2.NORM_L1)
    return min(float(image.shape[0]), float(2.0 * image.sum(dtype=np.int64) * OUTLINE_EXCESS / max(1.0, steps)))


def _morph(operation: int, image: Image, radius: float) -> Image:
    """Erode or dilate by a radius in pixels; a fraction is a blend of the two whole numbers around it."""
    whole = int(radius)
    if whole:
        image = np.asarray(cv2.morphologyEx(image, operation, CROSS, iterations=whole), dtype=np.uint8)
    further = cv2.morphologyEx(image, operation, CROSS)
    return np.asarray(cv2.addWeighted(image, 1.0 - (radius - whole), further, radius - whole, 0.0), dtype=np.uint8)


@dataclass(frozen=True)
class _Radius:
    radius_range: Range  # share of the stroke's width, each side
    num_draws: ClassVar[int] = 1

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw the radius, (m,)."""
        return between(chance[:, 0], self.radius_range, strength)


@dataclass(frozen=True)
class Erosion(_Radius):
    """Strokes get thinner from both sides."""

    def apply(self, image: Image, entry: Entry) -> Image:
        """Thin the strokes of (S, S)."""
        return _morph(cv2.MORPH_ERODE, image, float(entry) * stroke_width(image))


@dataclass(frozen=True)
class Dilation(_Radius):
    """Strokes get bolder on both sides."""

    def apply(self, image: Image, entry: Entry) -> Image:
        """Embolden the strokes of (S, S)."""
        return _morph(cv2.MORPH_DILATE, image, float(entry) * stroke_width(image))


@dataclass(frozen=True)
class InkBleed:
    """Ink creeps one pixel into the paper around a stroke, here more and there less."""

    spread_range: Range  # tone, of the ink beside it, that the wettest pixel takes on
    num_draws: ClassVar[int] = 1 + BLEED_CELLS**2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw how wet the paper is, coarsely: (m, BLEED_CELLS, BLEED_CELLS)."""
        spread = between(chance[:, 0], self.spread_range, strength)
        return spread[:, None, None] * chance[:, 1:].reshape(-1, BLEED_CELLS, BLEED_CELLS)

    def apply(self, image: Image, entry: Entry) -> Image:
        """Let the ink of (S, S) bleed."""
        gain = cv2.subtract(cv2.dilate(image, CROSS), image)
        return np.asarray(np.rint(image + enlarge(entry, image.shape[0]) * gain), dtype=np.uint8)
