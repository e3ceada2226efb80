"""Soft targets that are never written out: a few entries for each class, and what is spread over all classes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_sweep.losses.neighbours import Neighbours


class BatchTargets(NamedTuple):
    """The targets of a batch: t_b = sum_i weight[b, i] onehot(classes[b, i]) + uniform[b] / K, which sums to 1."""

    classes: Tensor  # (B, k + 1) int64; the own class first
    weight: Tensor  # (B, k + 1)
    uniform: Tensor | None  # (B,); None: nothing is spread over all classes


class SparseTargets(NamedTuple):
    """The targets of every class (see `BatchTargets`): (K, k + 1) numbers in place of (K, K)."""

    classes: Tensor  # (K, k + 1) int32
    weight: Tensor  # (K, k + 1)
    uniform: Tensor | None  # (K,)

    def of(self, labels: Tensor) -> BatchTargets:
        """The targets of (B,) class ids."""
        uniform = None if self.uniform is None else self.uniform[labels]
        return BatchTargets(self.classes[labels].long(), self.weight[labels], uniform)

    def to(self, device: torch.device) -> SparseTargets:
        """The same on another device."""
        uniform = None if self.uniform is None else self.uniform.to(device)
        return SparseTargets(self.classes.to(device), self.weight.to(device), uniform)


def smoothed_targets(
    uniform: NDArray[np.float64],
    neighbours: Neighbours | None = None,
    weights: NDArray[np.float64] | None = None,
    mass: float = 0.0,
    dtype: torch.dtype = torch.float32,
) -> SparseTargets:
    """Return (1 - mass - uniform) onehot(y) + mass * sum_i weights_i onehot(neighbour_i) + uniform / K for each class y.

    A class without neighbours keeps that mass itself.

    Args:
        uniform: (K,) mass that is spread over all classes.
        weights: (K, k) of the neighbours; each row sums to 1, or to 0 where there are none.
        mass: of the neighbours. Negative: it is taken from them, so that they have to be kept at a distance.

    References:
        Szegedy et al., arXiv:1512.00567 (the uniform part).
    """
    own = np.arange(len(uniform))[:, None]
    classes, weight = own, (1 - uniform)[:, None]
    if neighbours is not None and weights is not None:
        given = mass * weights  # (K, k)
        classes = np.concatenate([own, np.where(neighbours.indices < 0, own, neighbours.indices)], axis=1)
        weight = np.concatenate([weight - given.sum(axis=1, keepdims=True), given], axis=1)
    spread = torch.from_numpy(uniform).to(dtype) if uniform.any() else None
    return SparseTargets(torch.from_numpy(classes.astype(np.int32)), torch.from_numpy(weight).to(dtype), spread)


def target_score(logits: Tensor, targets: BatchTargets) -> Tensor:
    """(B,) sum_j t_j z_j of (B, K) logits z."""
    score = (targets.weight * logits.gather(1, targets.classes)).sum(dim=1)
    return score if targets.uniform is None else score + targets.uniform * logits.mean(dim=1)


def subtract_targets_(gradient: Tensor, targets: BatchTargets) -> Tensor:
    """Take t from (B, K) in place."""
    if targets.uniform is not None:
        gradient.sub_((targets.uniform / gradient.shape[1])[:, None])
    return gradient.scatter_add_(1, targets.classes, -targets.weight)
