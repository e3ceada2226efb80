"""What may happen to a training image, per source and with a strength."""

from ocr_sweep.augment.batch import augment_batch
from ocr_sweep.augment.policy import POLICIES, Policy, Step
from ocr_sweep.augment.sheet import op_sheet

__all__ = ["POLICIES", "Policy", "Step", "augment_batch", "op_sheet"]
