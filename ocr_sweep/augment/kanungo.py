"""Kanungo's document degradation: pixels near the edge of a stroke flip, the sooner the nearer they are.

References:
    Kanungo, Haralick, Baird, Stuezle, Madigan: A statistical, nonparametric methodology for document degradation model
    validation, IEEE PAMI 22(11), 2000.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.chance import WORD, pixel_words
from ocr_sweep.augment.op import Chance, Entry, Image, Parameters, Range, between

_SQUARE = np.ones((2, 2), dtype=np.uint8)  # dilates from its last pixel and erodes from its first: nothing is shifted
REACH = 6  # pixels; beyond it exp(-decay d^2) is below 2**-32 for every decay that a study may ask for


def edge_distance_squared(ink: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Squared distance in pixels of each pixel of (h, w) to the nearest one of the other colour, at most (REACH + 1)**2."""
    far = np.uint8((REACH + 1) ** 2)
    nearest = np.stack([ink, ~ink]) * far  # (2, h, w): to paper and to ink
    for axis in (1, 2):
        near = nearest.swapaxes(1, axis)
        found = near.copy()
        for step in range(1, min(REACH + 1, near.shape[1])):
            cost = np.uint8(step**2)
            np.minimum(found[:, step:], near[:, :-step] + cost, out=found[:, step:])
            np.minimum(found[:, :-step], near[:, step:] + cost, out=found[:, :-step])
        nearest = found.swapaxes(1, axis)
    return np.asarray(np.minimum(nearest[0] + nearest[1], far))


@dataclass(frozen=True)
class Kanungo:
    """P(flip) = alpha0 exp(-decay d^2) + noise, with d the distance in pixels to the other colour.

    Ink and paper share their constants, alpha0 is the strength, and half of the images are closed with a square of
    two pixels afterwards. A flipped pixel of a grey picture takes the tone's complement; the others keep theirs.
    """

    decay_range: Range  # alpha = beta, per square pixel
    noise_range: Range  # eta
    num_draws: ClassVar[int] = 4

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw (m, 5): alpha0, decay, noise, whether to close, and the key of the pixels' chance."""
        entries = np.empty((len(chance), 5))
        entries[:, 0] = strength
        entries[:, 1] = between(chance[:, 0], self.decay_range, 1.0)
        entries[:, 2] = between(chance[:, 1], self.noise_range, strength)
        entries[:, 3] = chance[:, 2] < 0.5 * strength
        entries[:, 4] = np.floor(chance[:, 3] * WORD)
        return entries

    def apply(self, image: Image, entry: Entry) -> Image:
        """Degrade (S, S)."""
        squared = edge_distance_squared(image > 127)
        flips = pixel_words(image.shape[0], float(entry[4])) < flip_limits(entry[None])[0][squared]
        flipped = np.where(flips, 255 - image, image)
        if entry[3]:
            return np.asarray(cv2.erode(cv2.dilate(flipped, _SQUARE), _SQUARE, anchor=(0, 0)), dtype=np.uint8)
        return flipped


def flip_limits(entries: Parameters) -> NDArray[np.int64]:
    """Below which random word a pixel flips, (m, (REACH + 1)**2 + 1) by its squared distance."""
    squared = np.arange((REACH + 1) ** 2 + 1)
    flip = entries[:, :1] * np.exp(-entries[:, 1:2] * squared) + entries[:, 2:3]
    return np.asarray(np.floor(np.minimum(flip, 1.0) * WORD), dtype=np.int64)
