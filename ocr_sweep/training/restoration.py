"""What a decoder costs: its weight at a step, and the image that it should restore."""

from __future__ import annotations

import torch
from torch import Tensor

from ocr_sweep.config.model import ModelConfig, UNetConfig
from ocr_sweep.losses import reconstruction_loss, reconstruction_weight
from ocr_sweep.store import CorpusView
from ocr_sweep.training.feed import Batch


class Restoration:
    """The decoder's share of the loss."""

    def __init__(self, config: ModelConfig, view: CorpusView, device: torch.device) -> None:
        self._weight = config.reconstruction_weight if isinstance(config, UNetConfig) else 0.0

    def __call__(self, restored: Tensor, batch: Batch, *, step: int, num_steps: int) -> Tensor:
        """The weighted loss of (B, 1, H, W) logits of ink for a batch on their device, a scalar."""
        return reconstruction_weight(self._weight, step, num_steps) * reconstruction_loss(restored, batch.clean)
