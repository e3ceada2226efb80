"""Cross entropy and binary cross entropy, both with label smoothing."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.nn import functional

LossKind = Literal["cross_entropy", "bce"]


def classification_loss(kind: LossKind, logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    """Mean loss over the batch of targets (1 - e) * onehot + e / K.

    Args:
        logits: (B, K).
        labels: (B,) class ids.

    The binary form sums over the classes: a mean would divide the gradient by K, which AdamW forgives and
    SGD does not. It is written without a dense (B, K) target:
    sum_j softplus(z_j) - (1 - e) * z_y - e * mean_j z_j.

    References:
        Szegedy et al., arXiv:1512.00567 (label smoothing).
    """
    match kind:
        case "cross_entropy":
            return functional.cross_entropy(logits, labels, label_smoothing=label_smoothing)
        case "bce":
            true = logits.gather(1, labels[:, None]).squeeze(1)  # (B,)
            negative = functional.softplus(logits).sum(dim=1)  # (B,)
            return (negative - (1 - label_smoothing) * true - label_smoothing * logits.mean(dim=1)).mean()


def initial_head_bias(kind: LossKind, num_classes: int) -> float:
    """The head's bias at which an untrained network already expects one class in K.

    Zero for cross entropy; -ln(K - 1) for the binary form, whose loss would else begin at K ln 2.
    """
    match kind:
        case "cross_entropy":
            return 0.0
        case "bce":
            return -math.log(num_classes - 1)
