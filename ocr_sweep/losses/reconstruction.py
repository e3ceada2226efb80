"""The decoder's loss: restore an image."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def reconstruction_loss(restored: Tensor, target: Tensor, known: Tensor | None = None, num_known: Tensor | None = None) -> Tensor:
    """Mean binary cross entropy per pixel, over the images whose target is known; 0 where none is.

    Args:
        restored: (B, 1, H, W) logits of ink.
        target: (B, 1, H, W) ink in [0, 1].
        known: (B,) bool; None: all are.
        num_known: how many images the mean is over, a scalar above 0; None: the known ones.
    """
    if known is None:
        return functional.binary_cross_entropy_with_logits(restored, target)
    each = functional.binary_cross_entropy_with_logits(restored, target, reduction="none").mean(dim=(1, 2, 3))  # (B,)
    return (each * known).sum() / (known.sum().clamp(min=1) if num_known is None else num_known)


def reconstruction_weight(weight: float, step: int, num_steps: int, fade: float = 0.2) -> float:
    """Lambda at an optimiser step: constant, then a straight decline to 0 over the last share `fade` of the steps.

    Classification alone decides at the end, so that the exported network without decoder loses nothing.
    """
    left = 1 - step / num_steps
    return weight * min(1.0, left / fade) if fade else weight
