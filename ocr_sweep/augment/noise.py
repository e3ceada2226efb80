"""Effects of paper and sensor: grain and stains, salt and pepper."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.chance import WORD, pixel_bytes, pixel_words
from ocr_sweep.augment.op import Chance, Entry, Image, Parameters, Range, between, enlarge

STAIN_CELLS = 6
GRAIN = np.array([NormalDist().inv_cdf((i + 0.5) / 256) for i in range(256)])
"""A normal number for each byte: the middle of its 256th part of the distribution."""


@dataclass(frozen=True)
class PaperNoise:
    """Grain of the paper and soft stains, on ink as well."""

    amplitude_range: Range  # standard deviation of the grain, share of 255; stains are up to twice as dark
    num_draws: ClassVar[int] = 2 + STAIN_CELLS**2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw (m, 2 + STAIN_CELLS**2): amplitude and key of the grain, and the stains coarsely, all in grey levels."""
        amplitude = 255.0 * between(chance[:, :1], self.amplitude_range, strength)
        return np.hstack([amplitude, np.floor(chance[:, 1:2] * WORD), 2.0 * amplitude * chance[:, 2:]])

    def apply(self, image: Image, entry: Entry) -> Image:
        """Add the noise to (S, S), within 0..255."""
        size, grain = image.shape[0], (float(entry[0]) * GRAIN).astype(np.float32)
        noise = enlarge(entry[2:].reshape(STAIN_CELLS, STAIN_CELLS), size)
        noise += grain.take(pixel_bytes(size, float(entry[1])))
        return np.asarray(cv2.add(image, np.rint(noise, out=noise), dtype=cv2.CV_8U), dtype=np.uint8)


@dataclass(frozen=True)
class SaltAndPepper:
    """Specks of ink on paper and of paper on ink."""

    share_range: Range  # share of the pixels
    num_draws: ClassVar[int] = 2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw (m, 2): the share, and the key of the pixels' chance."""
        return np.stack([between(chance[:, 0], self.share_range, strength), np.floor(chance[:, 1] * WORD)], axis=1)

    def apply(self, image: Image, entry: Entry) -> Image:
        """Speckle (S, S)."""
        words, limit = pixel_words(image.shape[0], float(entry[1])), speck_limits(entry[:1])[0]
        specks = image.copy()
        specks[words < limit] = 0
        specks[words >= WORD - limit] = 255
        return specks


def speck_limits(shares: NDArray[np.float64]) -> NDArray[np.int64]:
    """Below which random word a pixel becomes paper; as many of the greatest words become ink. (m,)"""
    return np.floor(0.5 * shares * WORD).astype(np.int64)
