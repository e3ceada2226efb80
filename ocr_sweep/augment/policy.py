"""The built-in tables: what may happen to a rendered glyph, and the little that may happen to a scanned character.

Rendered glyphs are too clean and must be made to look like scans. Scans are real already, their strokes carry what makes
a rare character readable, and so nothing here touches a scan's stroke width or makes it black and white.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.binarise import Binarisation
from ocr_sweep.augment.blur import GaussianBlur, MotionBlur
from ocr_sweep.augment.chance import Stream
from ocr_sweep.augment.digital import Jpeg, LowResolution
from ocr_sweep.augment.geometry import Affine, Elastic, Geometry, Perspective, Warps
from ocr_sweep.augment.ink import BrightnessContrast, Gamma, InkFade, UnevenInk
from ocr_sweep.augment.kanungo import Kanungo
from ocr_sweep.augment.noise import PaperNoise, SaltAndPepper
from ocr_sweep.augment.op import Parameters
from ocr_sweep.augment.stroke import Dilation, Erosion, InkBleed

Tone: TypeAlias = (
    Erosion
    | Dilation
    | InkBleed
    | Kanungo
    | UnevenInk
    | Gamma
    | GaussianBlur
    | MotionBlur
    | InkFade
    | BrightnessContrast
    | PaperNoise
    | LowResolution
    | SaltAndPepper
    | Binarisation
    | Jpeg
)
Op: TypeAlias = Geometry | Tone


@dataclass(frozen=True)
class Step:
    """An effect and how often it happens at strength 1."""

    op: Op
    probability: float


@dataclass(frozen=True)
class Happening:
    """An effect that happens to some images of a batch."""

    op: Tone
    places: NDArray[np.int64]  # (m,) ascending, in the batch
    parameters: Parameters  # (m, ...)


@dataclass(frozen=True)
class Drawn:
    """All that will happen to a batch of B images."""

    warps: Warps
    tone: tuple[Happening, ...]  # in order


@dataclass(frozen=True)
class Policy:
    """Effects in the order in which ink meets the world: moved (in one resampling), written, seen, stored."""

    steps: tuple[Step, ...]  # geometry stands before tone

    def draw(self, strength: float, size: int, stream: Stream, places: NDArray[np.int64]) -> Drawn:
        """Draw what happens to the images at some places of a stream; strength scales ranges and probabilities.

        Returns:
            For m images, numbered from 0 in the order of `places`.
        """
        chances = stream.uniform([(0, places, len(self.steps))])[0]
        happens = chances < np.array([step.probability for step in self.steps]) * strength  # (m, steps)
        chosen = [np.flatnonzero(column) for column in happens.T]
        numbers = [i for i, rows in enumerate(chosen) if len(rows)]
        drawn = stream.uniform([(1 + i, places[chosen[i]], self.steps[i].op.num_draws) for i in numbers])
        warps, tone = Warps.none(len(places)), []
        for i, chance in zip(numbers, drawn, strict=True):
            op = self.steps[i].op
            parameters = op.draw(chance, strength, size)
            if isinstance(op, Geometry):
                warps.add(op, chosen[i], parameters)
            else:
                tone.append(Happening(op, chosen[i], parameters))
        return Drawn(warps, tuple(tone))


def policy(*steps: tuple[Op, float]) -> Policy:
    """A policy from effects and probabilities."""
    return Policy(tuple(Step(op, probability) for op, probability in steps))


RENDERED = policy(
    (Elastic(amplitude_range=(0.0, 0.04)), 0.5),
    (Affine(rotation_range=(-7, 7), shear_range=(-8, 8), scale_range=(0.8, 1.1), shift_range=(-0.06, 0.06)), 1.0),
    (Perspective(tilt_range=(-0.12, 0.12)), 0.4),
    (Erosion(radius_range=(0.0, 0.2)), 0.2),
    (Dilation(radius_range=(0.0, 0.2)), 0.2),
    (InkBleed(spread_range=(0.0, 0.8)), 0.15),
    (Kanungo(decay_range=(2.0, 5.0), noise_range=(0.0, 0.01)), 0.15),
    (UnevenInk(loss_range=(0.0, 0.6)), 0.3),
    (Gamma(gamma_range=(0.5, 2.0)), 0.2),
    (GaussianBlur(sigma_range=(0.0, 0.028)), 0.35),
    (MotionBlur(length_range=(0.0, 0.07)), 0.15),
    (InkFade(ink_range=(0.6, 1.0), paper_range=(0.0, 0.15)), 0.3),
    (PaperNoise(amplitude_range=(0.0, 0.1)), 0.3),
    (LowResolution(factor_range=(0.6, 1.0)), 0.2),
    (SaltAndPepper(share_range=(0.0, 0.05)), 0.2),
    (Binarisation(threshold_range=(0.4, 0.65)), 0.2),
    (Jpeg(quality_range=(20, 90)), 0.2),
)

SCANNED = policy(
    (Elastic(amplitude_range=(0.0, 0.015)), 0.3),
    (Affine(rotation_range=(-3, 3), shear_range=(0, 0), scale_range=(0.92, 1.06), shift_range=(-0.04, 0.04)), 0.8),
    (GaussianBlur(sigma_range=(0.0, 0.02)), 0.3),
    (BrightnessContrast(contrast_range=(0.75, 1.25), brightness_range=(-0.1, 0.1)), 0.5),
)
