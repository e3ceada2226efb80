"""The two tables: what may happen to a rendered glyph, and the little that may happen to a scanned character.

Rendered glyphs are too clean and must be made to look like scans. Scans are real already, their strokes carry what makes
a rare character readable, and so nothing here touches a scan's stroke width or makes it black and white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ocr_sweep.augment.binarise import Binarisation
from ocr_sweep.augment.blur import GaussianBlur, MotionBlur
from ocr_sweep.augment.digital import Jpeg, LowResolution
from ocr_sweep.augment.geometry import Affine, Elastic, Perspective, combine, warp_image
from ocr_sweep.augment.ink import BrightnessContrast, Gamma, InkFade, UnevenInk
from ocr_sweep.augment.noise import PaperNoise, SaltAndPepper
from ocr_sweep.augment.op import Image, Op
from ocr_sweep.augment.stroke import Dilation, Erosion
from ocr_sweep.store import Source


@dataclass(frozen=True)
class Step:
    """An effect and how often it happens at strength 1."""

    op: Op[Any]
    probability: float


@dataclass(frozen=True)
class Policy:
    """Effects in the order in which ink meets the world: moved (in one resampling), written, seen, stored."""

    geometry: tuple[Step, ...]
    tone: tuple[Step, ...]

    @property
    def steps(self) -> tuple[Step, ...]:
        """Every step, in order."""
        return self.geometry + self.tone

    def apply(self, image: Image, strength: float, rng: np.random.Generator) -> Image:
        """Distort (S, S); strength scales each step's ranges and its probability."""
        size = image.shape[0]
        warps = [op.draw(rng, strength, size) for op in _happening(self.geometry, strength, rng)]
        if warps:
            image = warp_image(image, combine(warps))
        for op in _happening(self.tone, strength, rng):
            image = op.apply(image, op.draw(rng, strength, size))
        return image


def _happening(steps: tuple[Step, ...], strength: float, rng: np.random.Generator) -> list[Op[Any]]:
    chances = rng.random(len(steps)).tolist()
    return [step.op for step, chance in zip(steps, chances, strict=True) if chance < step.probability * strength]


RENDERED = Policy(
    geometry=(
        Step(Elastic(amplitude_range=(0.0, 0.04)), 0.5),
        Step(Affine(rotation_range=(-7, 7), shear_range=(-8, 8), scale_range=(0.8, 1.1), shift_range=(-0.06, 0.06)), 1.0),
        Step(Perspective(tilt_range=(-0.12, 0.12)), 0.4),
    ),
    tone=(
        Step(Erosion(radius_range=(0.0, 0.2)), 0.2),
        Step(Dilation(radius_range=(0.0, 0.2)), 0.2),
        Step(UnevenInk(loss_range=(0.0, 0.6)), 0.3),
        Step(Gamma(gamma_range=(0.5, 2.0)), 0.2),
        Step(GaussianBlur(sigma_range=(0.0, 0.028)), 0.35),
        Step(MotionBlur(length_range=(0.0, 0.07)), 0.15),
        Step(InkFade(ink_range=(0.6, 1.0), paper_range=(0.0, 0.15)), 0.3),
        Step(PaperNoise(amplitude_range=(0.0, 0.1)), 0.3),
        Step(LowResolution(factor_range=(0.6, 1.0)), 0.2),
        Step(SaltAndPepper(share_range=(0.0, 0.05)), 0.2),
        Step(Binarisation(threshold_range=(0.4, 0.65)), 0.2),
        Step(Jpeg(quality_range=(20, 90)), 0.2),
    ),
)

SCANNED = Policy(
    geometry=(
        Step(Elastic(amplitude_range=(0.0, 0.015)), 0.3),
        Step(Affine(rotation_range=(-3, 3), shear_range=(0, 0), scale_range=(0.92, 1.06), shift_range=(-0.04, 0.04)), 0.8),
    ),
    tone=(
        Step(GaussianBlur(sigma_range=(0.0, 0.02)), 0.3),
        Step(BrightnessContrast(contrast_range=(0.75, 1.25), brightness_range=(-0.1, 0.1)), 0.5),
    ),
)

POLICIES = {Source.RENDERED: RENDERED, Source.SCANNED: SCANNED}
