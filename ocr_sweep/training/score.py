"""The numbers of a split: accuracy overall, by class, by class group, and per named set."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.metrics import accuracy, group_accuracies, macro_accuracy
from ocr_sweep.store import CorpusView, Split


def score(view: CorpusView, split: Split, predicted: NDArray[np.int64]) -> dict[str, float]:
    """Return every metric of a split under its name, e.g. `val/accuracy_macro` and `val/casia/accuracy`.

    Args:
        predicted: (N,) class ids for `view.indices(split)`, in that order.
    """
    indices = view.indices(split)
    labels = view.class_ids[indices]
    metrics = {
        f"{split}/accuracy": accuracy(labels, predicted),
        f"{split}/accuracy_macro": macro_accuracy(labels, predicted),
    }
    for group, value in group_accuracies(labels, predicted, view.real_counts).items():
        metrics[f"{split}/accuracy_{group}"] = value
    for name in view.named_sets(split):
        inside = np.isin(indices, view.indices(name))
        metrics[f"{name}/accuracy"] = accuracy(labels[inside], predicted[inside])
    return metrics
