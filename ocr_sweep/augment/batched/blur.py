"""Gaussian and motion blur with a kernel of its own for each image, on whole batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ocr_sweep.augment.batched.arrays import on_device, reflected, whole
from ocr_sweep.augment.blur import LEAST_SIGMA, gaussian_radius, line_kernels
from ocr_sweep.augment.op import Parameters


def gaussian_blur(images: Tensor, sigmas: Parameters) -> Tensor:
    """Blur by sigmas (m,) in pixels, column by column and then row by row."""
    radii = gaussian_radius(sigmas)
    reach, side = int(radii.max()), images.shape[-1]
    steps = np.arange(-reach, reach + 1)
    kernels = np.exp(-0.5 * (steps / np.maximum(sigmas, LEAST_SIGMA)[:, None]) ** 2) * (np.abs(steps) <= radii[:, None])
    weights = on_device(kernels / kernels.sum(axis=1, keepdims=True), images)[:, :, None, None]  # (m, taps, 1, 1)
    padded = reflected(images, reach)
    taps = range(2 * reach + 1)
    rows = _weighted([padded[:, i : i + side] for i in taps], weights)
    return whole(_weighted([rows[:, :, i : i + side] for i in taps], weights))


def _weighted(parts: list[Tensor], weights: Tensor) -> Tensor:
    total = parts[0] * weights[:, 0]
    for i, part in enumerate(parts[1:], start=1):
        total.addcmul_(part, weights[:, i])
    return total


def motion_blur(images: Tensor, ways: Parameters) -> Tensor:
    """Smear along lines, (m, 2) half the way in x and y in pixels."""
    reach = int(np.ceil(np.abs(ways).max()))
    kernels = on_device(line_kernels(ways, reach), images)[:, None]  # (m, 1, k, k)
    padded = reflected(images, reach)[None] if reach else images[None]
    return whole(torch.nn.functional.conv2d(padded, kernels, groups=len(images))[0])
