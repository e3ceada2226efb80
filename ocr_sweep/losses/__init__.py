"""Losses, one idea a file."""

from ocr_sweep.losses.class_weights import effective_number_weights
from ocr_sweep.losses.classification import classification_loss, initial_head_bias
from ocr_sweep.losses.label_aware import label_aware_smoothing
from ocr_sweep.losses.neighbour_file import neighbours_of_file
from ocr_sweep.losses.neighbour_weights import neighbour_weights
from ocr_sweep.losses.neighbours import Neighbours, random_neighbours, rendered_neighbours
from ocr_sweep.losses.priors import effective_counts, logit_adjustment
from ocr_sweep.losses.reconstruction import reconstruction_loss, reconstruction_weight
from ocr_sweep.losses.targets import SparseTargets, smoothed_targets

__all__ = [
    "Neighbours",
    "SparseTargets",
    "classification_loss",
    "effective_counts",
    "effective_number_weights",
    "initial_head_bias",
    "label_aware_smoothing",
    "logit_adjustment",
    "neighbour_weights",
    "neighbours_of_file",
    "random_neighbours",
    "reconstruction_loss",
    "reconstruction_weight",
    "rendered_neighbours",
    "smoothed_targets",
]
