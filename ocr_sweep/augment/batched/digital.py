"""Fewer pixels, and JPEG, on whole batches."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_sweep.augment.batched.arrays import on_device, whole
from ocr_sweep.augment.op import Parameters, resize_matrix

_LUMINANCE = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)


def resize(images: Tensor, size: int) -> Tensor:
    """(m, S, S) grey levels as (m, size, size): by area when smaller, bilinearly when larger, as `store.resized` does."""
    if images.shape[-1] == size:
        return images
    how = cv2.INTER_AREA if size < images.shape[-1] else cv2.INTER_LINEAR
    matrix = on_device(resize_matrix(images.shape[-1], size, how), images)
    return whole(matrix @ images @ matrix.T)


def low_resolution(images: Tensor, sides: Parameters) -> Tensor:
    """Shrink to sides (m,) in pixels and enlarge again."""
    size, wanted = images.shape[-1], sides.astype(int)
    known, which = np.unique(wanted, return_inverse=True)
    shrink = np.zeros((len(known), int(known[-1]), size), dtype=np.float32)  # rows beyond an image's own side stay 0
    grow = np.zeros((len(known), size, int(known[-1])), dtype=np.float32)
    for i, side in enumerate(known.tolist()):
        shrink[i, :side] = resize_matrix(size, side, cv2.INTER_AREA)
        grow[i, :, :side] = resize_matrix(side, size, cv2.INTER_LINEAR)
    rows = on_device(which.astype(np.int64), images)
    down, up = on_device(shrink, images)[rows], on_device(grow, images)[rows]
    return whole(up @ whole(down @ images @ down.mT) @ up.mT)


def jpeg(images: Tensor, qualities: Parameters) -> Tensor:
    """Round the cosine transform of each block of 8 as JPEG's standard luminance table says, for qualities (m,).

    References:
        ITU-T T.81, Annex K (the table); the Independent JPEG Group's rule from quality to table.
    """
    num, side = len(images), images.shape[-1]
    fill = -side % 8
    padded = torch.nn.functional.pad(images[:, None], (0, fill, 0, fill), mode="replicate")[:, 0] if fill else images
    blocks = padded.unflatten(2, (-1, 8)).unflatten(1, (-1, 8)).transpose(2, 3)  # (m, rows, columns, 8, 8)
    cosines = on_device(cosine_matrix(), images)
    tables = on_device(quantisation_tables(qualities), images).view(num, 1, 1, 8, 8)
    levels = cosines @ (blocks - 128.0) @ cosines.T / tables
    kept = levels.sign() * (levels.abs() + 0.5).floor() * tables
    restored = cosines.T @ kept @ cosines + 128.0
    return whole(restored.transpose(2, 3).flatten(3).flatten(1, 2)[:, :side, :side])


def cosine_matrix() -> NDArray[np.float64]:
    """The orthonormal cosine transform of eight values, (8, 8)."""
    step = np.arange(8)
    matrix = 0.5 * np.cos(np.pi * (2 * step + 1) * step[:, None] / 16)
    matrix[0] /= np.sqrt(2.0)
    return np.asarray(matrix)


def quantisation_tables(qualities: Parameters) -> NDArray[np.float64]:
    """The steps to which coefficients are rounded, (m, 8, 8)."""
    quality = np.clip(qualities, 1, 100)
    scale = np.where(quality < 50, np.floor(5000 / quality), 200 - 2 * quality)[:, None, None]
    return np.asarray(np.clip(np.floor((_LUMINANCE * scale + 50) / 100), 1, 255))
