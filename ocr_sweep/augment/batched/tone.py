"""Effects on tone, on whole batches."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ocr_sweep.augment.batched.arrays import enlarge, on_device, per_image, whole
from ocr_sweep.augment.op import Parameters

_EPSILON = 1e-7  # OpenCV's: a share of pixels below it is no class


def linear(images: Tensor, lines: Parameters) -> Tensor:
    """Map tones by factors and summands, (m, 2)."""
    return whole(images * per_image(lines[:, 0], images) + per_image(lines[:, 1], images))


def uneven_ink(images: Tensor, stays: Parameters) -> Tensor:
    """Thin ink by coarse fields (m, c, c)."""
    return whole(images * enlarge(on_device(stays, images), images.shape[-1]))


def gamma(images: Tensor, exponents: Parameters) -> Tensor:
    """Raise tones to exponents (m,), by a table, as imgaug does."""
    shares = np.linspace(0.0, 1.0, 256, dtype=np.float32)
    tables = np.clip((shares ** exponents[:, None].astype(np.float32)) * 255, 0, 255).astype(np.uint8).astype(np.float32)
    found = on_device(tables, images).gather(1, images.flatten(1).long())
    return found.view_as(images)


def binarisation(images: Tensor, thresholds: Parameters) -> Tensor:
    """Black and white by thresholds (m,), shares of the darkest ink; not-a-number is Otsu's."""
    given = on_device(np.nan_to_num(thresholds), images).double() * images.amax((1, 2)).double()
    limits = torch.where(on_device(np.isnan(thresholds).astype(np.int64), images) > 0, otsu(images), given.floor())
    return torch.where(images > limits[:, None, None], 255.0, 0.0)


def otsu(images: Tensor) -> Tensor:
    """The grey level that parts ink from paper with the greatest variance between them, (m,) float64.

    References:
        Otsu: A threshold selection method from gray-level histograms, IEEE SMC 9(1), 1979.
    """
    rows = torch.arange(len(images), device=images.device)[:, None] * 256
    counts = torch.bincount((images.flatten(1).long() + rows).flatten(), minlength=256 * len(images)).view(-1, 256)
    shares = counts.double() / images[0].numel()
    levels = torch.arange(256, dtype=torch.float64, device=images.device)
    below, moment = shares.cumsum(1), (shares * levels).cumsum(1)
    above = 1.0 - below
    valid = (torch.minimum(below, above) > _EPSILON) & (torch.maximum(below, above) < 1.0 - _EPSILON)
    difference = moment / below - (moment[:, -1:] - moment) / above
    return torch.where(valid, below * above * difference**2, 0.0).argmax(1).double()
