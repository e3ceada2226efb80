"""Batch norm's statistics, estimated again on other images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


def batch_norms(model: nn.Module) -> list[_BatchNorm]:
    """The layers that keep statistics."""
    return [module for module in model.modules() if isinstance(module, _BatchNorm) and module.track_running_stats]


def forget_statistics(model: nn.Module) -> None:
    """Begin anew: the next batches give the statistics."""
    for norm in batch_norms(model):
        norm.reset_running_stats()


@torch.no_grad()
def see_batch(model: nn.Module, images: Tensor) -> None:
    """Take (B, 1, S, S) images into the statistics, every batch with equal weight; nothing else of the network changes.

    How many batches there were is a buffer of each layer, so that a checkpoint between two batches loses nothing.

    References:
        Wu & Johnson, Rethinking "Batch" in BatchNorm, arXiv:2105.07576 (PreciseBN).
    """
    norms = batch_norms(model)
    momenta = [norm.momentum for norm in norms]
    model.eval()
    for norm in norms:
        norm.train()
        norm.momentum = None  # the plain mean over the batches seen
    model.features(images)  # type: ignore[operator]
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    model.eval()
