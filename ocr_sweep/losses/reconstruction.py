"""The decoder's loss: restore the clean image that augmentation distorted."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

_FADE = 0.2  # the weight declines to 0 over this last share of the steps


def reconstruction_loss(restored: Tensor, clean: Tensor) -> Tensor:
    """Mean binary cross entropy per pixel.

    Args:
        restored: (B, 1, H, W) logits of ink.
        clean: (B, 1, H, W) ink in [0, 1], before augmentation.
    """
    return functional.binary_cross_entropy_with_logits(restored, clean)


def reconstruction_weight(weight: float, step: int, num_steps: int) -> float:
    """Lambda at an optimiser step: constant, then a straight decline to 0 over the last fifth.

    Classification alone decides at the end, so that the exported network without decoder loses nothing.
    """
    left = 1 - step / num_steps
    return weight * min(1.0, left / _FADE)
