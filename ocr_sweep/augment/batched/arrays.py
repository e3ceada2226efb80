"""Small things that the batched effects share: parameters to the device, whole grey levels, neighbours of a pixel."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_sweep.augment.op import resize_matrix


def upload(array: NDArray[np.generic], device: torch.device) -> Tensor:
    """A tensor of its own on a device; to a GPU it is on its way, from pinned memory, when this returns.

    From other memory a copy would first wait for all work that the GPU has been given, even if it is asked not to.
    """
    tensor = torch.from_numpy(np.array(array))
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


def on_device(values: NDArray[np.float64] | NDArray[np.float32] | NDArray[np.int64], like: Tensor) -> Tensor:
    """Numbers as a tensor beside `like`; real numbers as float32."""
    return upload(values.astype(np.float32) if values.dtype == np.float64 else values, like.device)


def per_image(values: NDArray[np.float64], like: Tensor) -> Tensor:
    """(m,) numbers as (m, 1, 1)."""
    return on_device(values, like)[:, None, None]


def whole(images: Tensor) -> Tensor:
    """Rounded to whole grey levels, halves to the even one, within 0..255."""
    return images.round_().clamp_(0, 255)


def enlarge(cells: Tensor, size: int) -> Tensor:
    """Coarse fields (m, c, c) as (m, size, size), bilinearly."""
    matrix = on_device(resize_matrix(cells.shape[-1], size, cv2.INTER_LINEAR), cells)
    return matrix @ cells @ matrix.T


def reflected(images: Tensor, width: int) -> Tensor:
    """(m, S, S) with a border that mirrors the image without repeating its edge."""
    side = images.shape[-1]
    while width > side - 1:  # a mirror in a mirror, for kernels wider than the image
        images = reflected(images, side - 1)
        width -= side - 1
        side = images.shape[-1]
    return torch.nn.functional.pad(images[:, None], (width, width, width, width), mode="reflect")[:, 0]
