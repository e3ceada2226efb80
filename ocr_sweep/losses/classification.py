"""The classification loss of a batch, and where it wants an untrained head to begin."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ocr_sweep.config.loss import LossKind
from ocr_sweep.losses.bce import binary_cross_entropy
from ocr_sweep.losses.cross_entropy import cross_entropy
from ocr_sweep.losses.targets import SparseTargets


def classification_loss(
    kind: LossKind,
    logits: Tensor,
    labels: Tensor,
    targets: SparseTargets,
    adjustment: Tensor | None = None,
    class_weights: Tensor | None = None,
) -> Tensor:
    """Mean loss over the batch, in float32 at least; a logit that is not finite makes a loss that is not finite.

    Args:
        logits: (B, K).
        labels: (B,) class ids.
        adjustment: (K,) added to the logits, the same for the true class and all others.
        class_weights: (K,) factor of an image's whole loss by its true class. The mean divides by B and not by the
            weights' sum, so that a batch of rare characters counts for more than one of common ones.
    """
    scores = logits.float() if logits.dtype in (torch.float16, torch.bfloat16) else logits
    scores = scores if adjustment is None else scores + adjustment
    entropy = cross_entropy if kind == "cross_entropy" else binary_cross_entropy
    losses = entropy(scores, targets.of(labels))  # (B,)
    return losses.mean() if class_weights is None else (losses * class_weights[labels]).mean()


def initial_head_bias(kind: LossKind, num_classes: int, tau: float = 0.0) -> float:
    """The head's bias at which an untrained network already expects one class in K.

    Zero for cross entropy; -(1 - tau) ln(K - 1) for the binary form, whose loss would else begin at K ln 2. At tau = 1
    the adjustment alone brings the logits there.
    """
    match kind:
        case "cross_entropy":
            return 0.0
        case "bce":
            return -(1 - tau) * math.log(num_classes - 1)
