"""Effects of lens and hand: Gaussian blur and motion blur."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from imgaug.augmenters.blur import blur_gaussian_
from numpy.typing import NDArray

from ocr_sweep.augment.op import Image, Range, draw_between


@dataclass(frozen=True)
class GaussianBlur:
    """Out of focus."""

    sigma_range: Range  # share of the side

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> float:
        """Draw sigma in pixels."""
        return size * draw_between(rng, self.sigma_range, strength)

    def apply(self, image: Image, parameters: float) -> Image:
        """Blur (S, S); below a thousandth of a pixel nothing happens."""
        return np.asarray(blur_gaussian_(image.copy(), parameters), dtype=np.uint8)


@dataclass(frozen=True)
class MotionBlur:
    """Page or camera moved."""

    length_range: Range  # share of the side

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> NDArray[np.float32]:
        """Draw length and direction, and return the kernel: a straight line whose sum is 1."""
        half = 0.5 * size * draw_between(rng, self.length_range, strength)
        direction = math.pi * rng.random()
        return _line_kernel(half * math.cos(direction), half * math.sin(direction))

    def apply(self, image: Image, parameters: NDArray[np.float32]) -> Image:
        """Smear (S, S) along the line."""
        return np.asarray(cv2.filter2D(image, -1, parameters), dtype=np.uint8)


def _line_kernel(dx: float, dy: float) -> NDArray[np.float32]:
    """Line from (-dx, -dy) to (dx, dy) pixels as an odd square kernel; each sample is shared by its four neighbours."""
    reach = math.ceil(max(abs(dx), abs(dy)))
    share = np.linspace(-1.0, 1.0, 4 * reach + 1)
    x, y = reach + share * dx, reach + share * dy
    kernel = np.zeros((2 * reach + 2, 2 * reach + 2), dtype=np.float32)
    left, top = np.floor(x).astype(int), np.floor(y).astype(int)
    for i in (0, 1):
        for j in (0, 1):
            weight = np.abs(1 - i - (x - left)) * np.abs(1 - j - (y - top))
            np.add.at(kernel, (top + j, left + i), weight)
    return kernel[:-1, :-1] / np.float32(len(share))
