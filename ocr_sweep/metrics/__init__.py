"""Numbers that judge predictions, and how far each of them can be trusted; numpy only."""

from ocr_sweep.metrics.accuracy import accuracy, confused_pairs, group_accuracies, macro_accuracy
from ocr_sweep.metrics.confidence import Reliability, calibration_error, confidence_and_nll, fit_temperature, reliability
from ocr_sweep.metrics.confusable import beats_neighbours, confusable_accuracy
from ocr_sweep.metrics.intervals import Interval, cluster_bootstrap, paired_difference
from ocr_sweep.metrics.seeds import with_seed_noise

__all__ = [
    "Interval",
    "Reliability",
    "accuracy",
    "beats_neighbours",
    "calibration_error",
    "cluster_bootstrap",
    "confidence_and_nll",
    "confusable_accuracy",
    "confused_pairs",
    "fit_temperature",
    "group_accuracies",
    "macro_accuracy",
    "paired_difference",
    "reliability",
    "with_seed_noise",
]
