"""What an effect is: parameters are drawn first and applied second, so that each picture can be repeated and tested."""

from __future__ import annotations

from typing import Protocol, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

Image: TypeAlias = NDArray[np.uint8]  # (S, S); 0 is paper, 255 is ink
Range: TypeAlias = tuple[float, float]
P = TypeVar("P")


class Op(Protocol[P]):
    """One effect on an image. Its `_range` fields are what strength 1 may draw; lengths are shares of the side."""

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> P:
        """Draw the parameters for an image of `size` pixels; at strength 0 they change nothing."""
        ...

    def apply(self, image: Image, parameters: P) -> Image:
        """The changed image; the given one is left alone."""
        ...


def draw_between(rng: np.random.Generator, range_: Range, strength: float, neutral: float = 0.0) -> float:
    """A uniform number from a range that strength shrinks towards the neutral value."""
    low, high = range_
    return neutral + strength * (low + (high - low) * rng.random() - neutral)


def draw_field(rng: np.random.Generator, cells: int, channels: int) -> NDArray[np.float32]:
    """A coarse random field (cells, cells, channels) in [-1, 1), to be enlarged to an image's size."""
    return 2.0 * rng.random((cells, cells, channels), dtype=np.float32) - 1.0
