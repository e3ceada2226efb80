"""Effects that move ink: affine, perspective and elastic, merged into one resampling of the image."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.op import Image, Range, draw_between, draw_field

_ELASTIC_CELLS = 5


@dataclass(frozen=True)
class Warp:
    """Where each pixel of the new image comes from, in pixels: homography first, then a shift of its own."""

    matrix: NDArray[np.float64]  # (3, 3), acts on (x, y, 1)
    field: NDArray[np.float32] | None  # (S, S, 2), added to the place that `matrix` gives


def combine(warps: Sequence[Warp]) -> Warp:
    """One warp for several, the first of them nearest to the glyph: matrices are multiplied, fields added."""
    matrix = np.eye(3)
    fields = [warp.field for warp in warps if warp.field is not None]
    for warp in warps:
        matrix = matrix @ warp.matrix
    return Warp(matrix, np.sum(fields, axis=0) if len(fields) > 1 else fields[0] if fields else None)


def warp_image(image: Image, warp: Warp) -> Image:
    """Resample (S, S) once, bilinearly; what comes from outside is paper."""
    size = image.shape[0]
    if warp.field is None:
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        if warp.matrix[2, 0] == warp.matrix[2, 1] == 0.0:
            return np.asarray(cv2.warpAffine(image, warp.matrix[:2], (size, size), flags=flags), dtype=np.uint8)
        return np.asarray(cv2.warpPerspective(image, warp.matrix, (size, size), flags=flags), dtype=np.uint8)
    places = _pixels(size) @ warp.matrix.T.astype(np.float32)  # (S, S, 3)
    places = places[..., :2] / places[..., 2:] + warp.field
    return np.asarray(cv2.remap(image, places, None, cv2.INTER_LINEAR), dtype=np.uint8)


@lru_cache(maxsize=8)
def _pixels(size: int) -> NDArray[np.float32]:
    """(S, S, 3) of (x, y, 1)."""
    y, x = np.mgrid[:size, :size]
    return np.stack([x, y, np.ones_like(x)], axis=-1).astype(np.float32)


def _about_centre(matrix: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The same transformation with the middle of the image as its origin."""
    middle = (size - 1) / 2.0
    there = np.array([[1.0, 0.0, middle], [0.0, 1.0, middle], [0.0, 0.0, 1.0]])
    back = np.array([[1.0, 0.0, -middle], [0.0, 1.0, -middle], [0.0, 0.0, 1.0]])
    centred: NDArray[np.float64] = there @ matrix @ back
    return centred


class _Geometric:
    def apply(self, image: Image, parameters: Warp) -> Image:
        """Warp (S, S) by itself; a policy merges its warps first."""
        return warp_image(image, parameters)


@dataclass(frozen=True)
class Affine(_Geometric):
    """Turn, slant, scale and shift about the middle."""

    rotation_range: Range  # degrees
    shear_range: Range  # degrees, of uprights and of horizontals
    scale_range: Range  # factor of the glyph's size
    shift_range: Range  # share of the side

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> Warp:
        """Draw one value of each, and two of shear and shift."""
        turn = math.radians(draw_between(rng, self.rotation_range, strength))
        slant_x, slant_y = (math.tan(math.radians(draw_between(rng, self.shear_range, strength))) for _ in range(2))
        zoom = 1.0 / draw_between(rng, self.scale_range, strength, neutral=1.0)
        shift_x, shift_y = (size * draw_between(rng, self.shift_range, strength) for _ in range(2))
        cos, sin = zoom * math.cos(turn), zoom * math.sin(turn)
        matrix = np.array(
            [
                [cos + sin * slant_y, cos * slant_x + sin, shift_x],
                [cos * slant_y - sin, cos - sin * slant_x, shift_y],
                [0.0, 0.0, 1.0],
            ]
        )
        return Warp(_about_centre(matrix, size), None)


@dataclass(frozen=True)
class Perspective(_Geometric):
    """The page is seen at an angle: one side comes nearer than the other."""

    tilt_range: Range  # relative change of size from the middle to a side

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> Warp:
        """Draw a tilt in x and one in y."""
        tilt_x, tilt_y = (draw_between(rng, self.tilt_range, strength) * 2.0 / size for _ in range(2))
        matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [tilt_x, tilt_y, 1.0]])
        return Warp(_about_centre(matrix, size), None)


@dataclass(frozen=True)
class Elastic(_Geometric):
    """Strokes bend: a smooth random field moves each pixel (Simard et al., ICDAR 2003)."""

    amplitude_range: Range  # greatest displacement, share of the side

    def draw(self, rng: np.random.Generator, strength: float, size: int) -> Warp:
        """Draw an amplitude and a coarse field, and enlarge the field to the image."""
        amplitude = size * draw_between(rng, self.amplitude_range, strength)
        coarse = draw_field(rng, _ELASTIC_CELLS, 2) * np.float32(amplitude)
        return Warp(np.eye(3), np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), dtype=np.float32))
