"""One resampling for all that moves ink."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_sweep.augment.batched.arrays import on_device, whole
from ocr_sweep.augment.geometry import Warps, affine_core, is_flat, warp_basis, warp_cores

_STEPS = 32.0  # OpenCV looks between pixels in steps of 1/32


def warp(images: Tensor, warps: Warps, places: NDArray[np.int64]) -> Tensor:
    """Resample (m, S, S) by the warps at some places, bilinearly; what comes from outside is paper."""
    size = images.shape[-1]
    at = _sampling_places(warps.matrices[places], warps.bends[places], on_device(warp_basis(size), images))  # (m, 2, S, S)
    at = torch.round(at * _STEPS) / _STEPS
    grid = (2.0 * at / (size - 1) - 1.0).permute(0, 2, 3, 1)
    sampled = torch.nn.functional.grid_sample(images[:, None], grid, mode="bilinear", padding_mode="zeros", align_corners=True)
    return whole(sampled[:, 0])


def _sampling_places(matrices: NDArray[np.float64], bends: NDArray[np.float64], basis: Tensor) -> Tensor:
    """The places in x and in y that pixels come from, (m, 2, S, S); see `geometry.sampling_places`."""
    at = basis @ on_device(warp_cores(matrices, bends), basis) @ basis.T
    tilted = np.flatnonzero(~is_flat(matrices))
    if len(tilted):
        lines = basis[:, -2:]
        homogeneous = lines @ on_device(affine_core(matrices[tilted]), basis) @ lines.T  # (t, 3, S, S)
        at[on_device(tilted, basis)] += homogeneous[:, :2] / homogeneous[:, 2:]
    return at
