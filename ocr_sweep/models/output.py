"""What every network returns."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Output(NamedTuple):
    """Logits, and the restored image where the network has a decoder and is training."""

    logits: Tensor  # (B, K)
    restored: Tensor | None = None  # (B, 1, H, W) logits of ink


__all__ = ["Output"]
