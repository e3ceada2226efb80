"""What may happen to a training image, per source and with a strength."""

from ocr_sweep.augment.batch import augment_batch
from ocr_sweep.augment.build import BUILT_IN, Treatment, treatments
from ocr_sweep.augment.policy import Policy, Step
from ocr_sweep.augment.sheet import policy_sheet

__all__ = ["BUILT_IN", "Policy", "Step", "Treatment", "augment_batch", "policy_sheet", "treatments"]
