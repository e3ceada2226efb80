"""How pictures are compared: moved onto each other, hashed, correlated; and the same picture without its strays."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.corpus.glyphs import INK_LEVEL, Gray, ink_box

STRAY_SHARE = 0.06
"""Pieces below this share of the ink count as strays here: twice what a scan may lose, so that no copy is between."""

STRAY_GAP = 0.03
"""They are that far from the rest, as a share of the picture's side: half of what a scan may lose."""

_SIDE = 32  # pixels of the pictures that are compared
_SPREAD = 7.0  # pixels of standard deviation that their ink is scaled to
_LEAST_SPREAD = 0.08  # of the side: a dot is not blown up beyond this
_SIGMA = 0.6  # pixels of blur before pictures are correlated
_CHUNK = 4096  # pictures at a time


def without_strays(images: NDArray[np.uint8], places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Erase what lies apart and is small, as the size rule does with strays, but sooner.

    A dot at the rule's limit is a stroke of one scan and a stray of its copy, which then is another picture.

    Args:
        images: (N, S, S), 0 paper, 255 full ink; may be memory-mapped.
        places: (n,) numbers of those that are looked at.

    Returns:
        (M,) numbers of the images that have something to erase, and (M, S, S) what is left of them.
    """
    found = [(i, core) for i in places.tolist() if (core := _without_strays(np.asarray(images[i]))) is not None]
    cores = np.stack([core for _, core in found]) if found else np.empty((0, *images.shape[1:]), np.uint8)
    return np.array([i for i, _ in found], dtype=np.int64), cores


def _without_strays(image: Gray) -> Gray | None:
    box = ink_box(image, STRAY_SHARE, STRAY_GAP)
    if box is None:
        return None
    x, y, width, height = box
    core = np.zeros_like(image)
    core[y : y + height, x : x + width] = image[y : y + height, x : x + width]
    return core if ((image >= INK_LEVEL) & (core == 0)).any() else None


def aligned(images: NDArray[np.uint8], places: NDArray[np.int64] | None = None) -> NDArray[np.uint8]:
    """Scale and shift every picture so that its ink has one centre and one spread, whatever box it was cropped to.

    A speck or a lost stroke end changes the crop of a picture a lot, and the moments of its ink hardly.

    Args:
        images: (N, S, S), 0 paper, 255 full ink; may be memory-mapped.
        places: (n,) numbers of the images that are wanted; None: all.

    Returns:
        (n, 32, 32).
    """
    places = np.arange(len(images)) if places is None else places
    parts = [_aligned(np.asarray(images[places[i : i + _CHUNK]])) for i in range(0, len(places), _CHUNK)]
    return np.concatenate(parts) if parts else np.empty((0, _SIDE, _SIDE), np.uint8)


def _aligned(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    side = images.shape[1]
    x = np.arange(side, dtype=np.int64)
    columns, rows = images.sum(axis=1, dtype=np.int64), images.sum(axis=2, dtype=np.int64)  # (n, S): whole numbers stay exact
    total = np.maximum(columns.sum(axis=1), 1)
    centres = np.stack([columns @ x / total, rows @ x / total], axis=1)
    variance = (columns @ x**2 + rows @ x**2) / total - (centres**2).sum(axis=1)
    spread = np.maximum(np.sqrt(np.maximum(variance, 0.0) / 2), _LEAST_SPREAD * side)
    return np.stack([_moved(*one) for one in zip(images, centres, _SPREAD / spread, strict=True)])


def _moved(image: NDArray[np.uint8], centre: NDArray[np.float64], scale: float) -> NDArray[np.uint8]:
    smooth = cv2.GaussianBlur(image, (0, 0), 0.5 / scale) if scale < 1 else image
    shift = (_SIDE - 1) / 2 - scale * centre
    matrix = np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])
    return np.asarray(cv2.warpAffine(smooth, matrix, (_SIDE, _SIDE), flags=cv2.INTER_LINEAR), dtype=np.uint8)


def perceptual_hashes(looks: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(N,) 64 bits each: which of the 8 x 8 lowest frequencies of the cosine transform exceed their median.

    The transform is computed in whole numbers, so that every machine gets the same bits.

    Args:
        looks: (N, 32, 32), see `aligned`.
    """
    k, x = np.arange(8)[:, None], np.arange(_SIDE)[None, :]
    basis = np.rint(1024 * np.cos(np.pi * (2 * x + 1) * k / (2 * _SIDE))).astype(np.int64)  # (8, 32)
    hashes = np.empty(len(looks), np.uint64)
    for i in range(0, len(looks), _CHUNK):
        part = basis @ looks[i : i + _CHUNK].astype(np.int64) @ basis.T  # (n, 8, 8)
        waves = part.reshape(len(part), 64)
        bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)  # the mean gray says nothing of the shape
        hashes[i : i + _CHUNK] = np.packbits(bits, axis=1).view(">u8")[:, 0]
    return hashes


def blurred(looks: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """(N, 1024) the pictures as they are correlated; a pixel more or less in the outline does not matter.

    Args:
        looks: (N, 32, 32), see `aligned`.
    """
    if not len(looks):
        return np.empty((0, _SIDE**2), np.uint8)
    return np.stack([np.asarray(cv2.GaussianBlur(look, (0, 0), _SIGMA), dtype=np.uint8).ravel() for look in looks])


def correlations(one: NDArray[np.uint8], others: NDArray[np.uint8]) -> NDArray[np.float64]:
    """(n,) Pearson correlation of a picture with others; its sums are whole numbers below 2^53, hence exact in any order.

    Args:
        one: (1024,), see `blurred`.
        others: (n, 1024).
    """
    found = np.empty(len(others))
    x, n = one.astype(np.float64), len(one)
    spread = n * (x @ x) - x.sum() ** 2
    for i in range(0, len(others), _CHUNK):
        y = others[i : i + _CHUNK].astype(np.float64)
        total = y.sum(axis=1)
        spreads = n * np.einsum("ij,ij->i", y, y) - total**2
        found[i : i + _CHUNK] = (n * (y @ x) - x.sum() * total) / np.maximum(np.sqrt(spread * spreads), 1.0)
    return found
