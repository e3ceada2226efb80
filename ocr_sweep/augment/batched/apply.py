"""Distort a batch on the device where it lies: draw on the CPU, apply each effect to the images that it happens to."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_sweep.augment.batch import draw_batch
from ocr_sweep.augment.batched.arrays import on_device
from ocr_sweep.augment.batched.blur import gaussian_blur, motion_blur
from ocr_sweep.augment.batched.digital import jpeg, low_resolution
from ocr_sweep.augment.batched.morphology import dilation, erosion, ink_bleed
from ocr_sweep.augment.batched.noise import kanungo, paper_noise, salt_and_pepper
from ocr_sweep.augment.batched.tone import binarisation, gamma, linear, uneven_ink
from ocr_sweep.augment.batched.warp import warp
from ocr_sweep.augment.binarise import Binarisation
from ocr_sweep.augment.blur import GaussianBlur, MotionBlur
from ocr_sweep.augment.build import Treatment
from ocr_sweep.augment.chance import Stream
from ocr_sweep.augment.digital import Jpeg, LowResolution
from ocr_sweep.augment.geometry import Affine, Elastic, Perspective, Warps
from ocr_sweep.augment.ink import BrightnessContrast, Gamma, InkFade, UnevenInk
from ocr_sweep.augment.kanungo import Kanungo
from ocr_sweep.augment.noise import PaperNoise, SaltAndPepper
from ocr_sweep.augment.op import Parameters
from ocr_sweep.augment.policy import Drawn, Op, Tone
from ocr_sweep.augment.stroke import Dilation, Erosion, InkBleed
from ocr_sweep.store import Source


@torch.no_grad()
def augment_tensor(
    images: Tensor,
    sources: NDArray[np.uint8],
    treatments: Mapping[Source, Treatment],
    *,
    seed: int,
    epoch: int,
    positions: NDArray[np.int64],
) -> Tensor:
    """Distort each image by the policy of its source; see `augment_batch`, whose pictures these are within a tolerance.

    Args:
        images: (B, S, S) uint8 on any device.

    Returns:
        (B, S, S) uint8 on the same device, new memory.

    Raises:
        DataError: a source has no treatment.
    """
    result = images.clone()
    stream = Stream(seed, epoch, positions)
    for places, drawn in draw_batch(sources, treatments, stream, images.shape[1]):
        at = on_device(places, images)
        result[at] = apply_drawn(result[at].float(), drawn).to(torch.uint8)
    return result


def apply_drawn(images: Tensor, drawn: Drawn) -> Tensor:
    """Distort (m, S, S) whole grey levels by what was drawn for them, in place."""
    moved = np.flatnonzero(drawn.warps.moved)
    if len(moved):
        at = on_device(moved, images)
        images[at] = warp(images[at], drawn.warps, moved)
    for happening in drawn.tone:
        at = on_device(happening.places, images)
        images[at] = _tone(happening.op, images[at], happening.parameters)
    return images


def apply_op(op: Op, images: Tensor, parameters: Parameters) -> Tensor:
    """Apply one effect to (m, S, S) whole grey levels, with parameters (m, ...) that it drew."""
    if isinstance(op, Affine | Perspective | Elastic):
        warps, places = Warps.none(len(images)), np.arange(len(images))
        warps.add(op, places, parameters)
        return warp(images, warps, places)
    return _tone(op, images, parameters)


def _tone(op: Tone, images: Tensor, parameters: Parameters) -> Tensor:
    match op:
        case Erosion():
            return erosion(images, parameters)
        case Dilation():
            return dilation(images, parameters)
        case InkBleed():
            return ink_bleed(images, parameters)
        case Kanungo():
            return kanungo(images, parameters)
        case UnevenInk():
            return uneven_ink(images, parameters)
        case Gamma():
            return gamma(images, parameters)
        case GaussianBlur():
            return gaussian_blur(images, parameters)
        case MotionBlur():
            return motion_blur(images, parameters)
        case InkFade() | BrightnessContrast():
            return linear(images, parameters)
        case PaperNoise():
            return paper_noise(images, parameters)
        case LowResolution():
            return low_resolution(images, parameters)
        case SaltAndPepper():
            return salt_and_pepper(images, parameters)
        case Binarisation():
            return binarisation(images, parameters)
        case Jpeg():
            return jpeg(images, parameters)
