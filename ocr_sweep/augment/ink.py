"""Effects on tone: faded and uneven ink, gamma, brightness and contrast."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from imgaug.augmenters.contrast import adjust_contrast_gamma
from numpy.typing import NDArray

from ocr_sweep.augment.op import Image, Range, draw_between, draw_field

_BLOTCH_CELLS = 4


@dataclass(frozen=True)
class InkFade:
    """Ink pales and paper yellows."""

    ink_range: Range  # tone of full ink, share of 255
    paper_range: Range  # tone of clean paper, share of 255

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> tuple[float, float]:
        """Draw the tones of ink and paper."""
        return draw_between(rng, self.ink_range, strength, neutral=1.0), draw_between(rng, self.paper_range, strength)

    def apply(self, image: Image, parameters: tuple[float, float]) -> Image:
        """Map 0..255 of (S, S) to paper..ink."""
        ink, paper = parameters
        return np.asarray(cv2.addWeighted(image, ink - paper, image, 0.0, 255.0 * paper), dtype=np.uint8)


@dataclass(frozen=True)
class UnevenInk:
    """Ink is dense here and dry there."""

    loss_range: Range  # share of the ink that the driest place loses

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> NDArray[np.float32]:
        """Draw what share of the ink stays at each pixel, (S, S)."""
        loss = draw_between(rng, self.loss_range, strength)
        blotches = cv2.resize(draw_field(rng, _BLOTCH_CELLS, 1), (size, size), interpolation=cv2.INTER_LINEAR)
        return np.asarray(1.0 - loss * (0.5 + 0.5 * blotches), dtype=np.float32)

    def apply(self, image: Image, parameters: NDArray[np.float32]) -> Image:
        """Thin the ink of (S, S)."""
        return (image * parameters).astype(np.uint8)


@dataclass(frozen=True)
class Gamma:
    """Grey edges of strokes get darker or lighter, full ink and clean paper stay."""

    gamma_range: Range  # exponent

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> float:
        """Draw the exponent."""
        return draw_between(rng, self.gamma_range, strength, neutral=1.0)

    def apply(self, image: Image, parameters: float) -> Image:
        """Raise (S, S) / 255 to the exponent."""
        return np.asarray(adjust_contrast_gamma(image, parameters), dtype=np.uint8)


@dataclass(frozen=True)
class BrightnessContrast:
    """The scanner's exposure: contrast about middle grey, and brightness."""

    contrast_range: Range  # factor
    brightness_range: Range  # share of 255, added

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> tuple[float, float]:
        """Draw factor and summand."""
        factor = draw_between(rng, self.contrast_range, strength, neutral=1.0)
        return factor, draw_between(rng, self.brightness_range, strength)

    def apply(self, image: Image, parameters: tuple[float, float]) -> Image:
        """Spread (S, S) about 127.5 and shift it."""
        factor, brightness = parameters
        offset = 127.5 * (1.0 - factor) + 255.0 * brightness
        return np.asarray(cv2.addWeighted(image, factor, image, 0.0, offset), dtype=np.uint8)
