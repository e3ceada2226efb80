"""Schedules as functions of the step, the handover from AdamW to SGD, and the average of the weights."""

from ocr_sweep.optim.course import Course
from ocr_sweep.optim.ema import Ema, ema_decay
from ocr_sweep.optim.handover import matched_rate, matched_weight_decay, warm_momentum
from ocr_sweep.optim.optimizers import adamw, sgd
from ocr_sweep.optim.recorder import StepRecorder
from ocr_sweep.optim.schedules import cosine, warmup_cosine
from ocr_sweep.optim.swats import Swats

__all__ = [
    "Course",
    "Ema",
    "StepRecorder",
    "Swats",
    "adamw",
    "cosine",
    "ema_decay",
    "matched_rate",
    "matched_weight_decay",
    "sgd",
    "warm_momentum",
    "warmup_cosine",
]
