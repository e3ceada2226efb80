"""Whether a file prepares pictures as the corpus does."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.corpus.degrade import EM, degrade, draw_degradation
from ocr_sweep.corpus.glyphs import normalise_ink
from ocr_sweep.corpus.pictures import UnreadableImageError, read_gray
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.store import resized

_PICTURES = 8
_SIDES = (EM, 52, 160, 75)  # pixels
_WEAR = 0.3
_LEVELS = 3  # of 255; rounding makes a difference of one, rarely of two
_ODD_ONES = 1  # pictures that may stand on a knife's edge between two decisions


@dataclass(frozen=True)
class Preparation:
    """Pictures drawn from squares of the corpus, prepared by the file and by the corpus."""

    pictures: int
    agreeing: int  # pictures whose squares are equal but for rounding
    max_levels: int  # largest difference of a pixel, of 255
    read_alike: int  # pictures that get the same first class from either square

    @property
    def holds(self) -> bool:
        """Whether the two do the same."""
        return self.pictures - self.agreeing <= _ODD_ONES


def check_preparation(scorer: Scorer, squares: NDArray[np.uint8]) -> Preparation | None:
    """Lay ink on worn paper, in several sizes and either polarity, and let both prepare it; None for a file that does not.

    Args:
        squares: (N, S, S) ink of the network's size.
    """
    network = scorer.pictures
    if network is None:
        return None
    differences, alike = [], 0
    for number, square in enumerate(squares[:_PICTURES]):
        picture = drawn(square, number)
        expected = prepared(picture, network.stored_size, network.image_size)
        logits, ink = network.of_pictures(picture[None, :, :, None])
        differences.append(int(np.abs(ink[0].astype(int) - expected).max()))
        alike += int(logits.argmax() == network.of_squares(expected[None]).argmax())
    agreeing = sum(difference <= _LEVELS for difference in differences)
    return Preparation(len(differences), agreeing, max(differences, default=0), alike)


def drawn(square: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """A picture (H, W) of a square's ink, degraded like a simulated scan; every second one is bright on dark."""
    rng = np.random.default_rng(number)
    gray = degrade(cv2.resize(square, (EM, EM), interpolation=cv2.INTER_LINEAR).astype(np.uint8), draw_degradation(rng, _WEAR))
    side = _SIDES[number % len(_SIDES)]
    levels = np.clip(np.round(cv2.resize(gray, (side, side), interpolation=cv2.INTER_AREA)), 0, 255).astype(np.uint8)
    picture: NDArray[np.uint8] = 255 - levels if number % 2 else levels
    return picture


def prepared(picture: NDArray[np.uint8], stored_size: int, image_size: int) -> NDArray[np.uint8]:
    """(S, S) What the corpus makes of a picture (H, W), resized as training does it; all 0 where it finds no ink."""
    try:
        square = normalise_ink(read_gray(picture.astype(np.float32)), stored_size)
    except UnreadableImageError:
        square = np.zeros((stored_size, stored_size), np.uint8)
    fitted: NDArray[np.uint8] = resized(square[None], image_size)[0]
    return fitted
