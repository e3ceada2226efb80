"""Numbers that judge predictions, and how far each of them can be trusted; numpy only."""

from ocr_sweep.metrics.acceptance import Acceptance, choose_acceptance
from ocr_sweep.metrics.accuracy import accuracy, confused_pairs, group_accuracies, macro_accuracy
from ocr_sweep.metrics.confidence import Reliability, calibration_error, confidence_and_nll, fit_temperature, reliability
from ocr_sweep.metrics.confusable import beats_neighbours, confusable_accuracy
from ocr_sweep.metrics.estimates import Estimate, Interval
from ocr_sweep.metrics.intervals import Clusters, accuracy_estimate, difference_estimate
from ocr_sweep.metrics.seeds import SeedNoise, seed_noise, seed_noise_of_rounds

__all__ = [
    "Acceptance",
    "Clusters",
    "Estimate",
    "Interval",
    "Reliability",
    "SeedNoise",
    "accuracy",
    "accuracy_estimate",
    "beats_neighbours",
    "calibration_error",
    "choose_acceptance",
    "confidence_and_nll",
    "confusable_accuracy",
    "confused_pairs",
    "difference_estimate",
    "fit_temperature",
    "group_accuracies",
    "macro_accuracy",
    "reliability",
    "seed_noise",
    "seed_noise_of_rounds",
]
