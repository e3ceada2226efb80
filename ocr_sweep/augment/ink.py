"""Effects on tone: faded and uneven ink, gamma, brightness and contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from ocr_sweep.augment.op import Chance, Entry, Image, Parameters, Range, between, enlarge

BLOTCH_CELLS = 4


class _Linear:
    def apply(self, image: Image, entry: Entry) -> Image:
        """Map tones of (S, S) by a factor and a summand."""
        return np.asarray(cv2.addWeighted(image, float(entry[0]), image, 0.0, float(entry[1])), dtype=np.uint8)


@dataclass(frozen=True)
class InkFade(_Linear):
    """Ink pales and paper yellows."""

    ink_range: Range  # tone of full ink, share of 255
    paper_range: Range  # tone of clean paper, share of 255
    num_draws: ClassVar[int] = 2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw the tones of ink and paper, and give (m, 2): factor and summand that map 0..255 to paper..ink."""
        ink = between(chance[:, 0], self.ink_range, strength, neutral=1.0)
        paper = between(chance[:, 1], self.paper_range, strength)
        return np.stack([ink - paper, 255.0 * paper], axis=1)


@dataclass(frozen=True)
class UnevenInk:
    """Ink is dense here and dry there."""

    loss_range: Range  # share of the ink that the driest place loses
    num_draws: ClassVar[int] = 1 + BLOTCH_CELLS**2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw what share of the ink stays, coarsely: (m, BLOTCH_CELLS, BLOTCH_CELLS)."""
        loss = between(chance[:, 0], self.loss_range, strength)
        return 1.0 - loss[:, None, None] * chance[:, 1:].reshape(-1, BLOTCH_CELLS, BLOTCH_CELLS)

    def apply(self, image: Image, entry: Entry) -> Image:
        """Thin the ink of (S, S)."""
        return np.asarray(np.rint(image * enlarge(entry, image.shape[0])), dtype=np.uint8)


@dataclass(frozen=True)
class Gamma:
    """Grey edges of strokes get darker or lighter, full ink and clean paper stay."""

    gamma_range: Range  # exponent
    num_draws: ClassVar[int] = 1

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw the exponent, (m,)."""
        return between(chance[:, 0], self.gamma_range, strength, neutral=1.0)

    def apply(self, image: Image, entry: Entry) -> Image:
        """Raise (S, S) / 255 to the exponent."""
        from imgaug.augmenters.contrast import adjust_contrast_gamma  # takes a second, and the supervisor augments nothing

        return np.asarray(adjust_contrast_gamma(image, float(entry)), dtype=np.uint8)


@dataclass(frozen=True)
class BrightnessContrast(_Linear):
    """The scanner's exposure: contrast about middle grey, and brightness."""

    contrast_range: Range  # factor
    brightness_range: Range  # share of 255, added
    num_draws: ClassVar[int] = 2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw (m, 2): the factor, and the summand that keeps 127.5 but for the brightness."""
        factor = between(chance[:, 0], self.contrast_range, strength, neutral=1.0)
        brightness = between(chance[:, 1], self.brightness_range, strength)
        return np.stack([factor, 127.5 * (1.0 - factor) + 255.0 * brightness], axis=1)
