"""What an effect is: parameters are drawn first and applied second, so that each picture can be repeated and tested.

Drawing is done for many images at once, from uniform numbers that belong to each image; applying is done image by image
here, and for a whole batch in `ocr_sweep.augment.batched`, both from the same parameters.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]  # (S, S); 0 is paper, 255 is ink
Range: TypeAlias = tuple[float, float]
Chance: TypeAlias = NDArray[np.float64]  # (m, num_draws) of [0, 1), a row per image
Parameters: TypeAlias = NDArray[np.float64]  # (m, ...), an entry per image
Entry: TypeAlias = NDArray[np.float64]  # the parameters of one image, (...)


class Effect(Protocol):
    """One effect on images. Its `_range` fields are what strength 1 may draw; lengths are shares of the side."""

    @property
    def num_draws(self) -> int:
        """Uniform numbers that the parameters of one image need."""
        ...

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Make parameters for m images of `size` pixels; at strength 0 they change nothing."""
        ...

    def apply(self, image: Image, entry: Entry) -> Image:
        """The changed image; the given one is left alone."""
        ...


def between(chance: Chance, range_: Range, strength: float, neutral: float = 0.0) -> NDArray[np.float64]:
    """Uniform numbers from a range that strength shrinks towards the neutral value; the shape of `chance`."""
    low, high = range_
    return neutral + strength * (low + (high - low) * chance - neutral)


@lru_cache(maxsize=256)
def resize_matrix(old: int, new: int, how: int) -> NDArray[np.float32]:
    """Linear resizing of a line of `old` values to `new` as a matrix (new, old): OpenCV's, for `how` = cv2.INTER_..."""
    rows = np.eye(old, dtype=np.float32)
    matrix = np.asarray(cv2.resize(rows, (old, new), interpolation=how), dtype=np.float32)
    matrix.setflags(write=False)
    return matrix


def enlarge(cells: NDArray[np.float64], size: int) -> NDArray[np.float32]:
    """A coarse field (c, c) as (size, size), bilinearly."""
    matrix = resize_matrix(cells.shape[0], size, cv2.INTER_LINEAR)
    return matrix @ cells.astype(np.float32) @ matrix.T
