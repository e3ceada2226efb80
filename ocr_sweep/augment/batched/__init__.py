"""The same policies on whole batches, in torch: on a GPU, or on the CPU.

Every effect takes the parameters that its twin in `ocr_sweep.augment` takes and makes the same picture, within a tolerance
that tests/augment/test_batched_ops.py states for each.
"""

from ocr_sweep.augment.batched.apply import apply_op, augment_tensor
from ocr_sweep.augment.batched.arrays import upload
from ocr_sweep.augment.batched.digital import resize

__all__ = ["apply_op", "augment_tensor", "resize", "upload"]
