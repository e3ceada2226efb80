"""The classification loss of a trial on its corpus."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ocr_sweep.config.loss import LossConfig, SimilarityConfig
from ocr_sweep.config.paths import Paths
from ocr_sweep.losses import (
    Neighbours,
    SparseTargets,
    classification_loss,
    effective_counts,
    effective_number_weights,
    initial_head_bias,
    label_aware_smoothing,
    logit_adjustment,
    neighbour_weights,
    neighbours_of_file,
    random_neighbours,
    rendered_neighbours,
    smoothed_targets,
)
from ocr_sweep.store import CorpusView, Source
from ocr_sweep.training.feed import training_indices


class Classification:
    """What a batch's logits cost; priors, weights and neighbours are found once and held on the device.

    Args:
        leave_out: sources that do not train and so do not count.
        seed: of the placebo's neighbours.

    Raises:
        DataError: the file of neighbours is missing, is another than was named, or cannot be used.
    """

    def __init__(
        self, config: LossConfig, view: CorpusView, device: torch.device, *, leave_out: Sequence[str] = (), seed: int = 0
    ) -> None:
        self._kind = config.kind
        self.head_bias = initial_head_bias(config.kind, view.num_classes, config.adjustment)  # of an untrained head
        counts = _counts(view, leave_out, config.prior_synthetic)
        self._targets = _targets(config, view, counts, device, seed).to(device)
        self._adjustment: Tensor | None = None
        if config.adjustment > 0:
            self._adjustment = _held(logit_adjustment(config.kind, counts, config.adjustment), device)
        self._class_weights: Tensor | None = None
        if config.class_weights_beta is not None:
            self._class_weights = _held(effective_number_weights(counts, config.class_weights_beta), device)

    def __call__(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Mean loss of (B, K) logits and (B,) class ids, a scalar."""
        return classification_loss(self._kind, logits, labels, self._targets, self._adjustment, self._class_weights)


def _counts(view: CorpusView, leave_out: Sequence[str], kappa: float) -> NDArray[np.float64]:
    """(K,) training images of each class, synthetic ones at their worth."""
    rows = view.rows[training_indices(view, leave_out)]
    scanned = rows["source"] == Source.SCANNED
    real, synthetic = (np.bincount(rows["class_id"][chosen], minlength=view.num_classes) for chosen in (scanned, ~scanned))
    return effective_counts(real, synthetic, kappa)


def _targets(config: LossConfig, view: CorpusView, counts: NDArray[np.float64], device: torch.device, seed: int) -> SparseTargets:
    head, tail = config.label_smoothing, config.label_smoothing_tail
    uniform = label_aware_smoothing(counts, head, head if tail is None else tail)
    if config.similarity is None:
        return smoothed_targets(uniform)
    neighbours = _neighbours(config.similarity, view, device)
    weights = neighbour_weights(neighbours, config.similarity.perplexity)
    if config.similarity.arm == "random":
        neighbours = random_neighbours(neighbours, seed)
    sign = -1 if config.similarity.arm == "anti" else 1
    return smoothed_targets(uniform, neighbours, weights, sign * config.similarity.mass)


def _neighbours(similarity: SimilarityConfig, view: CorpusView, device: torch.device) -> Neighbours:
    if similarity.file is None:
        return rendered_neighbours(view, similarity.neighbours, device)
    return neighbours_of_file(similarity.file.find(Paths.find().data), view.chars, similarity.neighbours)


def _held(values: NDArray[np.float64], device: torch.device) -> Tensor:
    return torch.from_numpy(values).float().to(device)
