"""What every network has in common: features, a head on them, and an offset of its logits."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from ocr_sweep.config.model import HeadConfig
from ocr_sweep.models.heads import build_head
from ocr_sweep.models.output import Output


class Network(nn.Module):
    """A backbone that gives features, dropout, and a head that gives one logit a class.

    Input (B, 1, H, W) in [0, 1]; a network with 3 channels repeats the gray image itself.

    Attributes:
        num_features: D.
        new_head: makes an untrained head of its kind for so many classes.
        head: (B, D) features to (B, K) logits. It can be replaced: nothing else knows what it is.
        offset: (K,) added to the logits in evaluation only: what is learnt about the classes after training.
    """

    offset: Tensor

    def __init__(
        self, head: HeadConfig | Callable[[int], nn.Module], *, num_features: int, num_classes: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.new_head = head if callable(head) else partial(build_head, head, num_features)
        self.dropout = nn.Dropout(dropout)
        self.head = self.new_head(num_classes)
        self.register_buffer("offset", torch.zeros(num_classes))

    def features(self, images: Tensor) -> Tensor:
        """(B, 1, H, W) images as (B, D) features."""
        raise NotImplementedError

    def classify(self, features: Tensor) -> Tensor:
        """(B, D) features as (B, K) logits, with the offset in evaluation."""
        logits: Tensor = self.head(self.dropout(features))
        return logits if self.training else logits + self.offset

    def forward(self, images: Tensor) -> Output:
        """Classify (B, 1, H, W) images."""
        return Output(self.classify(self.features(images)))
