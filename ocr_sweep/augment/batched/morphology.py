"""Effects on the width of strokes, on whole batches."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from ocr_sweep.augment.batched.arrays import enlarge, on_device, whole
from ocr_sweep.augment.op import Parameters
from ocr_sweep.augment.stroke import OUTLINE_EXCESS

Pairwise = Callable[[Tensor, Tensor], Tensor]


def cross(images: Tensor, choose: Pairwise) -> Tensor:
    """Least (torch.minimum) or greatest (torch.maximum) of each pixel and its four neighbours, (m, S, S)."""
    found = images.clone()
    found[:, 1:] = choose(found[:, 1:], images[:, :-1])
    found[:, :-1] = choose(found[:, :-1], images[:, 1:])
    found[:, :, 1:] = choose(found[:, :, 1:], images[:, :, :-1])
    found[:, :, :-1] = choose(found[:, :, :-1], images[:, :, 1:])
    return found


def erosion(images: Tensor, shares: Parameters) -> Tensor:
    """Thin strokes by shares (m,) of their width."""
    return _morph(images, on_device(shares, images) * stroke_width(images), torch.minimum)


def dilation(images: Tensor, shares: Parameters) -> Tensor:
    """Embolden strokes by shares (m,) of their width."""
    return _morph(images, on_device(shares, images) * stroke_width(images), torch.maximum)


def ink_bleed(images: Tensor, wetness: Parameters) -> Tensor:
    """Let ink creep by what coarse fields (m, c, c) say."""
    gain = cross(images, torch.maximum) - images
    return whole(images + enlarge(on_device(wetness, images), images.shape[-1]) * gain)


def stroke_width(images: Tensor) -> Tensor:
    """Mean width of the strokes in pixels, at most the side, (m,)."""
    steps = (images[:, 1:] - images[:, :-1]).abs().sum((1, 2), dtype=torch.float64)
    steps += (images[:, :, 1:] - images[:, :, :-1]).abs().sum((1, 2), dtype=torch.float64)
    area = images.sum((1, 2), dtype=torch.float64)
    return (2.0 * area * OUTLINE_EXCESS / steps.clamp(min=1.0)).clamp(max=images.shape[-1])


def _morph(images: Tensor, radius: Tensor, choose: Pairwise) -> Tensor:
    """Step by step to the greatest radius (m,) of all; each image blends the two whole steps around its own."""
    whole_steps = radius.floor()[:, None, None]
    fraction = (radius[:, None, None] - whole_steps).float()
    result, current = images.clone(), images
    for step in range(int(radius.max()) + 1):
        further = cross(current, choose)
        blend = whole(current * (1.0 - fraction) + further * fraction)
        result = torch.where(whole_steps == step, blend, result)
        current = further
    return result
