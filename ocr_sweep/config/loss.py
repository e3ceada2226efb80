"""What a classification loss is: its kind, its prior, and how soft its targets are."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ocr_sweep.config.block import Strict


class LossConfig(Strict):
    """The classification loss."""

    kind: Literal["cross_entropy", "bce"]
    label_smoothing: float = Field(ge=0.0, le=0.9)  # probability mass spread over all classes
