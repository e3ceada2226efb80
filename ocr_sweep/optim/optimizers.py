"""The two optimisers of the recipe, with weight decay on kernels and matrices only."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import nn


def adamw(model: nn.Module, *, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW (Loshchilov & Hutter, arXiv:1711.05101); biases and norms are not decayed. On a GPU it is one fused kernel."""
    on_gpu = all(parameter.is_cuda for parameter in model.parameters())
    return torch.optim.AdamW(_groups(model, weight_decay), lr=lr, fused=True if on_gpu else None)


def sgd(model: nn.Module, *, lr: float, weight_decay: float, momentum: float) -> torch.optim.SGD:
    """SGD with Nesterov momentum from a cold buffer, which is a natural ramp."""
    return torch.optim.SGD(_groups(model, weight_decay), lr=lr, momentum=momentum, nesterov=momentum > 0)


def _groups(model: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    parameters: Iterable[nn.Parameter] = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
