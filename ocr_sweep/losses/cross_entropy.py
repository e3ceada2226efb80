"""Cross entropy with sparse soft targets, its gradient in one (B, K) tensor."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from ocr_sweep.losses.targets import BatchTargets, subtract_targets_, target_score


def cross_entropy(logits: Tensor, targets: BatchTargets) -> Tensor:
    """(B,) -sum_j t_j log softmax(z)_j of (B, K) logits z; its gradient is softmax(z) - t.

    Equal to the library's cross entropy with uniform smoothing plus mass * (z_y - sum_i weight_i z_i) over the neighbours.
    """
    loss: Tensor = _CrossEntropy.apply(logits, *targets)  # type: ignore[no-untyped-call]
    return loss


class _CrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, classes: Tensor, weight: Tensor, uniform: Tensor | None) -> Tensor:
        log_probability = logits.log_softmax(dim=1)  # (B, K)
        ctx.save_for_backward(log_probability, classes, weight, uniform)
        return -target_score(log_probability, BatchTargets(classes, weight, uniform))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        log_probability, *targets = ctx.saved_tensors
        gradient = log_probability.exp()  # (B, K)
        return subtract_targets_(gradient, BatchTargets(*targets)).mul_(upstream[:, None]), None, None, None
