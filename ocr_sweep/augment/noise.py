"""Effects of paper and sensor: grain and stains, salt and pepper."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.op import Image, Range, draw_between, draw_field

_STAIN_CELLS = 6


@dataclass(frozen=True)
class PaperNoise:
    """Grain of the paper and soft stains, on ink as well."""

    amplitude_range: Range  # standard deviation of the grain, share of 255; stains are up to twice as dark

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> NDArray[np.int16]:
        """Draw what is added to each pixel, (S, S)."""
        amplitude = 255.0 * draw_between(rng, self.amplitude_range, strength)
        grain = rng.standard_normal((size, size), dtype=np.float32)
        stains = cv2.resize(draw_field(rng, _STAIN_CELLS, 1), (size, size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(amplitude * (grain + 1.0 + stains), dtype=np.int16)

    def apply(self, image: Image, parameters: NDArray[np.int16]) -> Image:
        """Add the noise to (S, S), within 0..255."""
        return np.asarray(cv2.add(image, parameters, dtype=cv2.CV_8U), dtype=np.uint8)


@dataclass(frozen=True)
class SaltAndPepper:
    """Specks of ink on paper and of paper on ink."""

    share_range: Range  # share of the pixels

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> NDArray[np.int16]:
        """Draw for each pixel, (S, S): -255 becomes paper, 255 becomes ink, 0 stays."""
        share = draw_between(rng, self.share_range, strength)
        chance = rng.random((size, size), dtype=np.float32)
        return np.where(chance < 0.5 * share, -255, np.where(chance > 1.0 - 0.5 * share, 255, 0)).astype(np.int16)

    def apply(self, image: Image, parameters: NDArray[np.int16]) -> Image:
        """Speckle (S, S)."""
        return np.asarray(cv2.add(image, parameters, dtype=cv2.CV_8U), dtype=np.uint8)
