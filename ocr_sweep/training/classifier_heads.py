"""The heads of the classifier stage: new, rescaled, or made of class means without training.

References:
    Kang et al., Decoupling representation and classifier for long-tailed recognition, arXiv:1910.09217.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional

from ocr_sweep.models import NearestMeanHead, Network


def new_head(model: Network, seed: int) -> nn.Module:
    """An untrained head of the network's kind, where the old one is; torch's own stream of chance is left as it was."""
    device = next(model.parameters()).device
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return model.new_head(len(model.offset)).to(device)


class ScaledHead(nn.Module):
    """f * (W x + b), of which only the factors f (K,) are learnt; the reference scales the bias, too."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.linear = linear.requires_grad_(False)
        self.factor = nn.Parameter(torch.ones(linear.out_features, device=linear.weight.device))

    def forward(self, features: Tensor) -> Tensor:
        """(B, D) to (B, K)."""
        logits: Tensor = self.factor * self.linear(features)
        return logits

    @torch.no_grad()
    def folded(self) -> nn.Linear:
        """The same as one linear layer."""
        linear = self.linear
        linear.weight.mul_(self.factor[:, None])
        linear.bias.mul_(self.factor)
        return linear.requires_grad_(True)


@torch.no_grad()
def normalise_rows(linear: nn.Linear, tau: float) -> None:
    """Divide each row by its length to the power tau, and drop the bias: tau-norm. A row of zeros stays."""
    length = linear.weight.norm(dim=1, keepdim=True)  # (K, 1)
    linear.weight.div_(torch.where(length > 0, length, torch.ones_like(length)) ** tau)
    linear.bias.zero_()


def norm_count_correlation(linear: nn.Linear, counts: NDArray[np.int64]) -> float:
    """Rank correlation of a row's length and its class's images; tau-norm has an effect as far as it is positive.

    0 where all lengths or all counts are the same.

    References:
        Menon et al., arXiv:2007.07314 (whether lengths follow counts depends on the optimiser).
    """
    lengths = linear.weight.detach().norm(dim=1).cpu().numpy()
    if len(np.unique(counts)) == 1 or len(np.unique(lengths)) == 1:
        return 0.0
    value = float(spearmanr(lengths, counts).statistic)
    return value if math.isfinite(value) else 0.0


class MeanCollector:
    """Sums features in two passes: their mean first, then the class means of what is left of them at length 1."""

    def __init__(self, num_features: int, num_classes: int) -> None:
        self._sum = np.zeros(num_features)  # (D,)
        self._class_sums = np.zeros((num_classes, num_features))
        self._counts = np.zeros(num_classes, dtype=np.int64)
        self._seen = 0

    @property
    def mean(self) -> Tensor:
        """(D,) mean of all features of the first pass."""
        return torch.from_numpy(self._sum / max(1, self._seen)).float()

    def add(self, features: Tensor) -> None:
        """Take (B, D) features into the mean."""
        self._sum += features.double().sum(dim=0).cpu().numpy()
        self._seen += len(features)

    def add_to_classes(self, features: Tensor, labels: NDArray[np.int64]) -> None:
        """Take (B, D) features into the means of their classes, once the mean is known."""
        centred = functional.normalize(features.cpu() - self.mean, dim=1).double().numpy()
        np.add.at(self._class_sums, labels, centred)
        self._counts += np.bincount(labels, minlength=len(self._counts))

    def head(self) -> NearestMeanHead:
        """The finished head."""
        num_classes, num_features = self._class_sums.shape
        head = NearestMeanHead(num_features, num_classes)
        head.mean.copy_(self.mean)
        means = self._class_sums / np.maximum(self._counts, 1)[:, None]
        head.class_means.copy_(torch.from_numpy(means))  # every class has an image: `training_indices` sees to it
        return head
