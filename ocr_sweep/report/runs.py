"""What a comparison is made from: runs with their configuration, numbers, curves and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ocr_sweep.export.predictions import Predictions


@dataclass(frozen=True)
class ComparedRun:
    """One run as a comparison needs it."""

    run_id: str
    name: str
    arm: str  # runs of one arm differ in chance or in what was searched; arms are what is compared
    role: str  # "confirm" for a repetition with a fresh seed
    config: Mapping[str, Any]  # flattened: "optim.lr" -> 0.001
    metrics: Mapping[str, float]
    curves: Mapping[str, Sequence[tuple[int, float]]]  # metric -> (epoch, value)
    predictions: Predictions
    url: str | None  # where the run can be seen in full
    trial: int = 0  # runs of role "confirm" repeat the configuration of their trial
    chosen: bool = True  # it may have been chosen for its number, so that the number flatters it; a repetition never is
