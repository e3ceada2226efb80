"""Schedules as functions of the step, and the handover from AdamW to SGD."""

from ocr_sweep.optim.handover import StepRecorder, matched_rate, matched_weight_decay
from ocr_sweep.optim.optimizers import adamw, sgd
from ocr_sweep.optim.schedules import cosine, warmup_cosine

__all__ = ["StepRecorder", "adamw", "cosine", "matched_rate", "matched_weight_decay", "sgd", "warmup_cosine"]
