"""The head that names the nearest class mean, and the kind of head that a trial delivers."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from ocr_sweep.config.classifier import ClassifierConfig, NearestMean
from ocr_sweep.models.network import Network


class NearestMeanHead(nn.Module):
    """-|x - c|^2 of each class mean c, where x is the feature centred and cut to length 1.

    |x| is the same for all classes, so 2 c x - |c|^2 is a linear layer behind a shift: it exports like any head.

    References:
        Kang et al., arXiv:1910.09217 (NCM); Wang et al., SimpleShot, arXiv:1911.04623 (centring and normalisation).
    """

    mean: Tensor  # (D,) of all features
    class_means: Tensor  # (K, D) of centred features of length 1

    def __init__(self, num_features: int, num_classes: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(num_features))
        self.class_means = nn.Parameter(torch.zeros(num_classes, num_features), requires_grad=False)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) to (B, K)."""
        x = functional.normalize(features - self.mean, dim=1)
        return 2 * functional.linear(x, self.class_means) - self.class_means.square().sum(dim=1) - 1


def replace_head(model: Network, classifier: ClassifierConfig | None) -> None:
    """Give an untrained network the kind of head that a trial with this classifier delivers."""
    if isinstance(classifier, NearestMean):
        model.head = NearestMeanHead(model.num_features, len(model.offset))
