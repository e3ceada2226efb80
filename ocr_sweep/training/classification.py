"""The classification loss of a trial on its corpus."""

from __future__ import annotations

import torch
from torch import Tensor

from ocr_sweep.config.loss import LossConfig
from ocr_sweep.losses import classification_loss, initial_head_bias
from ocr_sweep.store import CorpusView


class Classification:
    """What a batch's logits cost."""

    def __init__(self, config: LossConfig, view: CorpusView, device: torch.device) -> None:
        self._config = config
        self.head_bias = initial_head_bias(config.kind, view.num_classes)  # of an untrained head

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of (B, K) logits and (B,) class ids, a scalar."""
        return classification_loss(self._config.kind, logits, labels, self._config.label_smoothing)
