"""Gradient direction features: what a picture of a character looks like to a small model that needs no training of its own."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.store import resized

DIRECTIONS, GRID, SIDE = 8, 8, 48
SIZE = DIRECTIONS * GRID * GRID
"""D, numbers per picture."""

_CHUNK = 512  # pictures at a time


def gradient_features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much edge of each direction lies around each point of a grid, with soft borders; lengths are 1.

    Args:
        images: (N, S, S), 0 paper, 255 full ink; may be memory-mapped.

    Returns:
        (N, 512), the square roots of shares that sum to 1.

    References:
        Liu, Nakashima, Sako, Fujisawa: Handwritten digit recognition: benchmarking of state-of-the-art techniques,
        Pattern Recognition 36 (2003), 2271-2285 (gradient direction features, blurred and sampled).
    """
    found = np.empty((len(images), SIZE), np.float32)
    for i in range(0, len(images), _CHUNK):
        found[i : i + _CHUNK] = _features(resized(np.asarray(images[i : i + _CHUNK]), SIDE))
    return found


def _features(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    smooth = [cv2.GaussianBlur(image.astype(np.float32), (0, 0), 1.0) for image in images]
    across = np.stack([cv2.Sobel(image, cv2.CV_32F, 1, 0) for image in smooth])
    down = np.stack([cv2.Sobel(image, cv2.CV_32F, 0, 1) for image in smooth])
    strength = np.hypot(across, down)
    angle = np.arctan2(down, across) * np.float32(DIRECTIONS / (2 * np.pi))
    window = _window()
    planes = []
    for direction in range(DIRECTIONS):
        away = np.abs((angle - direction + DIRECTIONS / 2) % DIRECTIONS - DIRECTIONS / 2)
        share = strength * np.maximum(1.0 - away, 0.0)  # between its two nearest directions
        planes.append(window @ share.astype(np.float32) @ window.T)  # (n, 8, 8)
    amounts = np.stack(planes, axis=1).reshape(len(images), SIZE)
    return np.asarray(np.sqrt(amounts / np.maximum(amounts.sum(axis=1, keepdims=True), 1e-6)), dtype=np.float32)


def _window() -> NDArray[np.float32]:
    """(8, 48) weights of the pixels around each grid line."""
    step = SIDE / GRID
    centres = (np.arange(GRID) + 0.5) * step - 0.5
    return np.exp(-0.5 * ((np.arange(SIDE) - centres[:, None]) / (0.6 * step)) ** 2).astype(np.float32)
