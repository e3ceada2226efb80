"""Effects that come from the chance of single pixels, on whole batches; the chance is the CPU's, bit by bit."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ocr_sweep.augment.batched.arrays import enlarge, on_device, per_image, whole
from ocr_sweep.augment.chance import HASH_FACTORS, HASH_SHIFTS, WORD, hashed_places
from ocr_sweep.augment.kanungo import REACH, flip_limits
from ocr_sweep.augment.noise import GRAIN, STAIN_CELLS, speck_limits
from ocr_sweep.augment.op import Parameters


def pixel_words(keys: Parameters, like: Tensor) -> Tensor:
    """A random word below 2**32 for each pixel, (m, S, S) int64, from keys (m,)."""
    side = like.shape[-1]
    return _hashed_words(side * side, keys, like).view(-1, side, side)


def pixel_bytes(keys: Parameters, like: Tensor) -> Tensor:
    """A random byte for each pixel, (m, S, S) int64, from keys (m,)."""
    side = like.shape[-1]
    words = _hashed_words(-(-side * side // 4), keys, like)
    parts = torch.stack([(words >> shift) & 255 for shift in (0, 8, 16, 24)], dim=2)
    return parts.flatten(1)[:, : side * side].reshape(-1, side, side)


def _hashed_words(count: int, keys: Parameters, like: Tensor) -> Tensor:
    """(m, count) int64; see `chance.hashed_words`."""
    places = on_device(hashed_places(count).astype(np.int64), like)
    words = places ^ on_device(keys.astype(np.int64), like)[:, None]
    words ^= words >> HASH_SHIFTS[0]
    words.mul_(HASH_FACTORS[0]).bitwise_and_(WORD - 1)  # the product may wrap; its lower half stays right
    words ^= words >> HASH_SHIFTS[1]
    words.mul_(HASH_FACTORS[1]).bitwise_and_(WORD - 1)
    words ^= words >> HASH_SHIFTS[2]
    return words


def paper_noise(images: Tensor, entries: Parameters) -> Tensor:
    """Add grain and stains, (m, 2 + STAIN_CELLS**2)."""
    stains = on_device(entries[:, 2:].reshape(-1, STAIN_CELLS, STAIN_CELLS), images)
    grain = on_device(entries[:, :1] * GRAIN, images).gather(1, pixel_bytes(entries[:, 1], images).flatten(1))
    noise = enlarge(stains, images.shape[-1]) + grain.view_as(images)
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
    closed = _closed(flipped)
    return torch.where(per_image(entries[:, 3], images) > 0, closed, flipped)


def _closed(images: Tensor) -> Tensor:
    """(m, S, S) closed with a square of two pixels."""
    grown = images.clone()
    for axis in (1, 2):
        side, before = grown.shape[axis] - 1, grown.clone()
        grown.narrow(axis, 1, side).copy_(torch.maximum(before.narrow(axis, 1, side), before.narrow(axis, 0, side)))
    for axis in (1, 2):
        side, before = grown.shape[axis] - 1, grown.clone()
        grown.narrow(axis, 0, side).copy_(torch.minimum(before.narrow(axis, 0, side), before.narrow(axis, 1, side)))
    return grown


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
