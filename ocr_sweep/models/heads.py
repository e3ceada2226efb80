"""Heads: (B, D) features to (B, K) logits."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ocr_sweep.config import model as config


def build_head(head: config.HeadConfig, num_features: int, num_classes: int) -> nn.Module:
    """Return an untrained head."""
    match head:
        case config.LinearHead():
            return nn.Linear(num_features, num_classes)
        case config.LowRankHead(rank=rank):
            return LowRankHead(num_features, num_classes, rank)
        case config.CosineHead(scale=scale):
            return CosineHead(num_features, num_classes, scale)


class LowRankHead(nn.Module):
    """A linear head through r numbers: D r + r K + K parameters, where D K + K would be too many."""

    def __init__(self, num_features: int, num_classes: int, rank: int) -> None:
        super().__init__()
        self.reduce = nn.Linear(num_features, rank, bias=False)
        self.expand = nn.Linear(rank, num_classes)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) to (B, K)."""
        logits: Tensor = self.expand(self.reduce(features))
        return logits


class CosineHead(nn.Module):
    """scale * cos(feature, class vector). The length of a class vector cannot grow with the class's images.

    References:
        Wang et al., CosFace, arXiv:1801.09414; Gidaris & Komodakis, arXiv:1804.09458.
    """

    def __init__(self, num_features: int, num_classes: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_classes, num_features))  # (K, D)
        self.scale = nn.Parameter(torch.tensor(float(scale)))
        nn.init.normal_(self.weight, std=num_features**-0.5)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) to (B, K)."""
        return self.scale * functional.linear(functional.normalize(features, dim=1), functional.normalize(self.weight, dim=1))


def set_head_bias(head: nn.Module, value: float) -> None:
    """Fill the bias of the layer that gives the logits."""
    biases = [parameter for name, parameter in head.named_parameters() if name.rpartition(".")[2] == "bias"]
    assert biases, "the head has no bias"
    nn.init.constant_(biases[-1], value)
