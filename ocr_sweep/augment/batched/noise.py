"""Effects that come from the chance of single pixels, on whole batches; the chance is the CPU's, bit by bit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ocr_sweep.augment.batched.arrays import enlarge, on_device, per_image, whole
from ocr_sweep.augment.batched.morphology import cross
from ocr_sweep.augment.chance import BYTE_SUM_MEAN, BYTE_SUM_STD, HASH_FACTORS, HASH_SHIFTS, WORD, pixel_places
from ocr_sweep.augment.kanungo import REACH, flip_limits
from ocr_sweep.augment.noise import STAIN_CELLS, speck_limits
from ocr_sweep.augment.op import Parameters


def pixel_words(keys: Parameters, like: Tensor) -> Tensor:
    """A random word below 2**32 for each pixel, (m, S, S) int64, from keys (m,)."""
    places = on_device(pixel_places(like.shape[-1]).astype(np.int64), like)
    words = places ^ on_device(keys.astype(np.int64), like)[:, None, None]
    words ^= words >> HASH_SHIFTS[0]
    words.mul_(HASH_FACTORS[0]).bitwise_and_(WORD - 1)  # the product may wrap; its lower half stays right
    words ^= words >> HASH_SHIFTS[1]
    words.mul_(HASH_FACTORS[1]).bitwise_and_(WORD - 1)
    words ^= words >> HASH_SHIFTS[2]
    return words


def paper_noise(images: Tensor, entries: Parameters) -> Tensor:
    """Add grain and stains, (m, 2 + STAIN_CELLS**2)."""
    steps = entries[:, 0] / BYTE_SUM_STD
    stains = entries[:, 2:].reshape(-1, STAIN_CELLS, STAIN_CELLS) - (steps * BYTE_SUM_MEAN)[:, None, None]
    words = pixel_words(entries[:, 1], images)
    sums = (words & 255) + ((words >> 8) & 255) + ((words >> 16) & 255) + (words >> 24)
    noise = enlarge(on_device(stains, images), images.shape[-1]) + sums * per_image(steps, images)
    return whole(images + noise.round_())


def salt_and_pepper(images: Tensor, entries: Parameters) -> Tensor:
    """Speckle by shares and keys, (m, 2)."""
    words = pixel_words(entries[:, 1], images)
    limits = on_device(speck_limits(entries[:, 0]), images)[:, None, None]
    return torch.where(words < limits, 0.0, torch.where(words >= WORD - limits, 255.0, images))


def kanungo(images: Tensor, entries: Parameters) -> Tensor:
    """Flip pixels near edges, (m, 5); see `ocr_sweep.augment.kanungo`."""
    words = pixel_words(entries[:, 4], images)
    limits = on_device(flip_limits(entries), images).gather(1, edge_distance_squared(images > 127).flatten(1))
    flipped = torch.where(words < limits.view_as(words), 255.0 - images, images)
    closed = cross(cross(flipped, torch.maximum), torch.minimum)
    return torch.where(per_image(entries[:, 3], images) > 0, closed, flipped)


def edge_distance_squared(ink: Tensor) -> Tensor:
    """Squared distance in pixels to the nearest pixel of the other colour, at most (REACH + 1)**2; (m, S, S) int64."""
    far = (REACH + 1) ** 2
    nearest = torch.stack([ink, ~ink]).to(torch.uint8) * far  # to paper and to ink
    for axis in (2, 3):
        found, side = nearest.clone(), nearest.shape[axis]
        for step in range(1, min(REACH + 1, side)):
            ahead, behind = found.narrow(axis, step, side - step), found.narrow(axis, 0, side - step)
            ahead.copy_(torch.minimum(ahead, nearest.narrow(axis, 0, side - step) + step**2))
            behind.copy_(torch.minimum(behind, nearest.narrow(axis, step, side - step) + step**2))
        nearest = found
    return (nearest[0] + nearest[1]).clamp(max=far).long()
