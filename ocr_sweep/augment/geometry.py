"""Effects that move ink: affine, perspective and elastic, merged into one resampling of the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.augment.op import Chance, Entry, Image, Parameters, Range, between, resize_matrix

CELLS = 5  # of the coarse field that bends strokes
Bend: TypeAlias = NDArray[np.float64]  # (CELLS, CELLS, 2), displacement in x and y in pixels


@dataclass(frozen=True)
class Warps:
    """Where each pixel of B new images comes from, in pixels: a homography first, then a shift of its own."""

    matrices: NDArray[np.float64]  # (B, 3, 3), act on (x, y, 1)
    bends: NDArray[np.float64]  # (B, CELLS, CELLS, 2), enlarged and added to the place that the matrix gives
    moved: NDArray[np.bool_]  # (B,) whether anything happens

    @classmethod
    def none(cls, num_images: int) -> Warps:
        """Nothing moves."""
        matrices = np.tile(np.eye(3), (num_images, 1, 1))
        return cls(matrices, np.zeros((num_images, CELLS, CELLS, 2)), np.zeros(num_images, dtype=np.bool_))

    def add(self, op: Geometry, places: NDArray[np.int64], parameters: Parameters) -> None:
        """Let one more effect happen to some of the images, farther from the glyph: matrices multiply, bends add."""
        self.moved[places] = True
        if isinstance(op, Elastic):
            self.bends[places] += parameters
        else:
            self.matrices[places] = self.matrices[places] @ parameters


def warp_image(image: Image, matrix: Entry, bend: Bend | None = None) -> Image:
    """Resample (S, S) once, bilinearly; what comes from outside is paper."""
    bends = np.zeros((1, CELLS, CELLS, 2)) if bend is None else bend[None]
    return warp_by_core(image, matrix, warp_cores(matrix[None], bends)[0])


def warp_by_core(image: Image, matrix: Entry, core: NDArray[np.float32]) -> Image:
    """The same by an entry of `warp_cores`, which are cheaper to make together."""
    x, y = sampling_places(matrix, core, image.shape[0])
    return np.asarray(cv2.remap(image, x, y, cv2.INTER_LINEAR), dtype=np.uint8)


def sampling_places(matrix: Entry, core: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The places in x and in y that pixels come from, (2, S, S).

    Affine maps and bends are both sums of products of a function of y and one of x, so that one product of small matrices
    makes the whole field.
    """
    basis = warp_basis(size)
    places = basis @ core @ basis.T
    if is_flat(matrix):
        return np.asarray(places)
    homogeneous = basis[:, -2:] @ affine_core(matrix).astype(np.float32) @ basis[:, -2:].T  # (3, S, S)
    return np.asarray(homogeneous[:2] / homogeneous[2:] + places)


def is_flat(matrices: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether homographies (..., 3, 3) are affine, (...)."""
    return np.asarray((matrices[..., 2, 0] == 0.0) & (matrices[..., 2, 1] == 0.0))


def warp_cores(matrices: NDArray[np.float64], bends: NDArray[np.float64]) -> NDArray[np.float32]:
    """Bends and, where they are affine, matrices between the basis of y and the basis of x, (m, 2, CELLS + 2, CELLS + 2)."""
    cores = np.zeros((len(matrices), 2, CELLS + 2, CELLS + 2), dtype=np.float32)
    cores[:, :, :CELLS, :CELLS] = bends.transpose(0, 3, 1, 2)
    flat = is_flat(matrices)
    cores[flat, :, -2:, -2:] = affine_core(matrices[flat, :2])
    return cores


def affine_core(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows (..., 3) that act on (x, y, 1) as matrices (..., 2, 2) between (y, 1) and (x, 1)."""
    core = np.zeros((*rows.shape[:-1], 2, 2))
    core[..., 1, 0], core[..., 0, 1], core[..., 1, 1] = rows[..., 0], rows[..., 1], rows[..., 2]
    return core


@lru_cache(maxsize=16)
def warp_basis(size: int) -> NDArray[np.float32]:
    """(S, CELLS + 2): how a pixel's coordinate weighs each cell of a bend, the coordinate itself, and 1."""
    place = np.arange(size, dtype=np.float32)[:, None]
    return np.hstack([resize_matrix(CELLS, size, cv2.INTER_CUBIC), place, np.ones_like(place)])


def _about_centre(matrices: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    """The same transformations (m, 3, 3) with the middle of the image as their origin."""
    middle = (size - 1) / 2.0
    there = np.array([[1.0, 0.0, middle], [0.0, 1.0, middle], [0.0, 0.0, 1.0]])
    back = np.array([[1.0, 0.0, -middle], [0.0, 1.0, -middle], [0.0, 0.0, 1.0]])
    centred: NDArray[np.float64] = there @ matrices @ back
    return centred


class _Homography:
    def apply(self, image: Image, entry: Entry) -> Image:
        """Warp (S, S) by itself; a policy merges its warps first."""
        return warp_image(image, entry)


@dataclass(frozen=True)
class Affine(_Homography):
    """Turn, slant, scale and shift about the middle."""

    rotation_range: Range  # degrees
    shear_range: Range  # degrees, of uprights and of horizontals
    scale_range: Range  # factor of the glyph's size
    shift_range: Range  # share of the side
    num_draws: ClassVar[int] = 6

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw one value of each, and two of shear and shift: matrices (m, 3, 3)."""
        turn = np.radians(between(chance[:, 0], self.rotation_range, strength))
        slant_x, slant_y = np.tan(np.radians(between(chance[:, 1:3], self.shear_range, strength))).T
        zoom = 1.0 / between(chance[:, 3], self.scale_range, strength, neutral=1.0)
        cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
        matrices = np.zeros((len(chance), 3, 3))
        matrices[:, 0, 0], matrices[:, 0, 1] = cos + sin * slant_y, cos * slant_x + sin
        matrices[:, 1, 0], matrices[:, 1, 1] = cos * slant_y - sin, cos - sin * slant_x
        matrices[:, :2, 2] = size * between(chance[:, 4:6], self.shift_range, strength)
        matrices[:, 2, 2] = 1.0
        return _about_centre(matrices, size)


@dataclass(frozen=True)
class Perspective(_Homography):
    """The page is seen at an angle: one side comes nearer than the other."""

    tilt_range: Range  # relative change of size from the middle to a side
    num_draws: ClassVar[int] = 2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw a tilt in x and one in y: matrices (m, 3, 3)."""
        matrices = np.tile(np.eye(3), (len(chance), 1, 1))
        matrices[:, 2, :2] = between(chance, self.tilt_range, strength) * 2.0 / size
        return _about_centre(matrices, size)


@dataclass(frozen=True)
class Elastic:
    """Strokes bend: a smooth random field moves each pixel (Simard et al., ICDAR 2003)."""

    amplitude_range: Range  # greatest displacement, share of the side
    num_draws: ClassVar[int] = 1 + 2 * CELLS**2

    def draw(self, chance: Chance, strength: float, size: int) -> Parameters:
        """Draw an amplitude and a coarse field: (m, CELLS, CELLS, 2) in pixels."""
        amplitude = size * between(chance[:, 0], self.amplitude_range, strength)
        field = 2.0 * chance[:, 1:].reshape(-1, CELLS, CELLS, 2) - 1.0
        return amplitude[:, None, None, None] * field

    def apply(self, image: Image, entry: Entry) -> Image:
        """Bend (S, S) by itself; a policy merges its warps first."""
        return warp_image(image, np.eye(3), entry)


Geometry: TypeAlias = Affine | Perspective | Elastic
