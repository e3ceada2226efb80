"""A training as numbered steps: reported, checkpointed, stopped between two steps, and resumed to equal bits."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ocr_sweep.corpus.fonts import Progress
from ocr_sweep.disk import store_errors
from ocr_sweep.errors import StoppedError
from ocr_sweep.models.checkpoint import load_checkpoint, save_checkpoint

Note = Callable[[str], None]
"""A line for people about how the training goes."""

_SAVE_EVERY = 120.0  # seconds between two checkpoints
_CURVE_POINTS = 40  # a curve is kept as the means of so many stretches


class Stepped(Protocol):
    """Something that learns by steps, each a function of its state and the step's number alone."""

    def step(self, number: int) -> dict[str, float]:
        """Do step `number` (from 0) and return its losses."""

    def state(self, *, finished: bool) -> dict[str, Any]:
        """Return everything that going on needs; after the last step, what using it needs."""

    def load(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""


def run_steps(
    work: Stepped, num_steps: int, checkpoint: Path, *, what: str, progress: Progress, note: Note
) -> list[dict[str, float]]:
    """Do all steps, from the checkpoint on if there is one, and return the curve: mean losses of successive stretches.

    Args:
        checkpoint: file that belongs to this training alone; it is kept, so that a finished training is not repeated.
        progress: called after every step; it may raise StoppedError, and then the checkpoint is written first.

    Raises:
        StoppedError: see `progress`.
        StoreError: the checkpoint cannot be written.
    """
    with store_errors(f"creating {checkpoint.parent}"):
        checkpoint.parent.mkdir(parents=True, exist_ok=True)
    saved = load_checkpoint(checkpoint) or {"step": 0, "curve": [], "sums": {}}
    done, curve, sums = int(saved["step"]), list(saved["curve"]), dict(saved["sums"])
    if "work" in saved:
        work.load(saved["work"])
    stretch = max(1, num_steps // _CURVE_POINTS)
    saved_at = time.monotonic()

    def save() -> None:
        state = work.state(finished=done == num_steps)
        save_checkpoint(checkpoint, {"step": done, "curve": curve, "sums": sums, "work": state})

    def tell() -> None:
        try:
            progress(what, done, num_steps)
        except StoppedError as error:
            save()
            error.kept = f"step {done} of {what} is checkpointed"
            raise

    tell()
    while done < num_steps:
        for name, value in work.step(done).items():
            sums[name] = sums.get(name, 0.0) + value
        done += 1
        if done % stretch == 0:
            curve.append({"step": done, **{name: total / stretch for name, total in sums.items()}})
            sums = {}
            note(", ".join(f"{name} {value:.3f}" for name, value in curve[-1].items() if name != "step"))
        tell()
        if done == num_steps or time.monotonic() - saved_at > _SAVE_EVERY:
            save()
            saved_at = time.monotonic()
    return curve
