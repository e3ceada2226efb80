"""Effects of lens and hand: Gaussian blur and motion blur."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.op import Chance, Entry, Image, Parameters, Range, between

LEAST_SIGMA = 1e-3  # pixels; below it nothing happens
REACH = 1.65  # sigmas to each side, as imgaug cuts small kernels; but two pixels at least
LINE_SAMPLES = 65  # of a motion: enough for a line of 32 pixels


def gaussian_radius(sigma: NDArray[np.float64]) -> NDArray[np.int64]:
    """Pixels that the kernel reaches to each side."""
    return np.asarray(np.maximum(2, np.ceil(REACH * sigma)), dtype=np.int64)


@dataclass(frozen=True)
class GaussianBlur:
    """Out of focus."""

    sigma_range: Range  # share of the side
    num_draws: ClassVar[int] = 1

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw sigma in pixels, (m,)."""
        return size * between(chance[:, 0], self.sigma_range, strength)

    def apply(self, image: Image, entry: Entry) -> Image:
        """Blur (S, S)."""
        sigma = float(entry)
        if sigma < LEAST_SIGMA:
            return image.copy()
        side = 2 * max(2, math.ceil(REACH * sigma)) + 1
        return np.asarray(cv2.GaussianBlur(image, (side, side), sigma), dtype=np.uint8)


@dataclass(frozen=True)
class MotionBlur:
    """Page or camera moved."""

    length_range: Range  # share of the side
    num_draws: ClassVar[int] = 2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw length and direction, and give half the way in x and y, (m, 2) in pixels."""
        half = 0.5 * size * between(chance[:, 0], self.length_range, strength)
        direction = np.pi * chance[:, 1]
        return np.stack([half * np.cos(direction), half * np.sin(direction)], axis=1)

    def apply(self, image: Image, entry: Entry) -> Image:
        """Smear (S, S) along the line."""
        reach = int(np.ceil(np.abs(entry).max()))
        return np.asarray(cv2.filter2D(image, -1, line_kernels(entry[None], reach)[0]), dtype=np.uint8)


def line_kernels(ways: Parameters, reach: int) -> NDArray[np.float32]:
    """Lines from (-dx, -dy) to (dx, dy) pixels as kernels (m, k, k), k = 2 reach + 1, whose sum is 1.

    Samples along the line are shared by the four pixels around them, in proportion to nearness.
    """
    share = np.linspace(-1.0, 1.0, LINE_SAMPLES)
    cells = np.arange(-reach, reach + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(ways[:, :, None, None] * share[:, None] - cells))  # (m, 2, samples, k)
    return np.asarray(weights[:, 1].swapaxes(1, 2) @ weights[:, 0] / LINE_SAMPLES, dtype=np.float32)
