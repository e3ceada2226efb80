"""Losses, one idea a file."""

from ocr_sweep.losses.classification import classification_loss, initial_head_bias
from ocr_sweep.losses.reconstruction import reconstruction_loss, reconstruction_weight

__all__ = ["classification_loss", "initial_head_bias", "reconstruction_loss", "reconstruction_weight"]
