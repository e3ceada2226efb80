"""Whether the exported file says what the network said."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.errors import EvidenceError
from ocr_sweep.export.scorer import Scorer

TOLERANCE = 1e-4  # largest difference of a logit, relative to the largest logit
_BATCHES = (1, 2, 7)  # the whole set goes through in large batches besides
_PROBE = 32


@dataclass(frozen=True)
class Parity:
    """A certificate: how far onnxruntime's logits are from PyTorch's on the same images."""

    num_images: int
    max_difference: float  # relative to the largest logit
    flips: int  # images whose first class differs although the network's margin exceeds the tolerance
    batch_sizes: tuple[int, ...]

    @property
    def holds(self) -> bool:
        """Whether the two agree."""
        return self.flips == 0 and self.max_difference <= TOLERANCE

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return {**asdict(self), "tolerance": TOLERANCE, "holds": self.holds}


def check_parity(scorer: Scorer, images: NDArray[np.uint8], reference: NDArray[np.float32]) -> Parity:
    """Compare logits over (N, S, S) images of the network's size with PyTorch's (N, K).

    Batch sizes 1, 2 and 7 are tried on the first images, because exporters have failed by batch size.
    """
    came = scorer.logits(images)
    difference = _difference(came, reference)
    for size in _BATCHES:
        difference = max(difference, _difference(scorer.logits(images[:_PROBE], batch_size=size), reference[:_PROBE]))
    return Parity(len(images), difference, _flips(came, reference), (*_BATCHES, len(images)))


def require_parity(parity: Parity) -> None:
    """Refuse a file that disagrees.

    Raises:
        EvidenceError: with the numbers.
    """
    if not parity.holds:
        raise EvidenceError(
            f"the ONNX file must agree with PyTorch within {TOLERANCE:g} of the largest logit, but differs by "
            f"{parity.max_difference:.3g}, with {parity.flips} of {parity.num_images} images read as another character"
        )


def _difference(came: NDArray[np.float32], reference: NDArray[np.float32]) -> float:
    if not len(reference):
        return 0.0
    if not np.isfinite(came).all():
        return float("inf")
    scale = max(float(np.abs(reference).max()), 1e-12)
    return float(np.abs(came.astype(np.float64) - reference).max()) / scale


def _flips(came: NDArray[np.float32], reference: NDArray[np.float32]) -> int:
    if not len(reference):
        return 0
    best = np.sort(reference, axis=1)[:, -2:]
    clear = best[:, 1] - best[:, 0] > TOLERANCE * np.abs(reference).max()
    return int((clear & (came.argmax(axis=1) != reference.argmax(axis=1))).sum())
