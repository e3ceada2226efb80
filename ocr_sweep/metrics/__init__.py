"""Numbers that judge predictions, and how far each of them can be trusted; numpy only."""

from ocr_sweep.metrics.accuracy import accuracy, confused_pairs, group_accuracies, macro_accuracy
from ocr_sweep.metrics.intervals import Interval, cluster_bootstrap, paired_difference
from ocr_sweep.metrics.seeds import with_seed_noise

__all__ = [
    "Interval",
    "accuracy",
    "cluster_bootstrap",
    "confused_pairs",
    "group_accuracies",
    "macro_accuracy",
    "paired_difference",
    "with_seed_noise",
]
