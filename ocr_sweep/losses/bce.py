"""Binary cross entropy over all classes with sparse soft targets, its gradient in one (B, K) tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ocr_sweep.losses.targets import BatchTargets, subtract_targets_, target_score


def binary_cross_entropy(logits: Tensor, targets: BatchTargets) -> Tensor:
    """(B,) sum_j softplus(s_j) - t_j s_j of (B, K) logits s; its gradient is sigmoid(s) - t.

    It sums over the classes: a mean would divide the gradient by K, which AdamW forgives and SGD does not.
    """
    loss: Tensor = _BinaryCrossEntropy.apply(logits, *targets)  # type: ignore[no-untyped-call]
    return loss


class _BinaryCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, classes: Tensor, weight: Tensor, uniform: Tensor | None) -> Tensor:
        ctx.save_for_backward(logits, classes, weight, uniform)
        return functional.softplus(logits).sum(dim=1) - target_score(logits, BatchTargets(classes, weight, uniform))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        logits, *targets = ctx.saved_tensors
        gradient = logits.sigmoid()  # (B, K)
        return subtract_targets_(gradient, BatchTargets(*targets)).mul_(upstream[:, None]), None, None, None
