"""The quick check: a run's first steps again, whose losses must be the recorded ones to the last bit."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import EvidenceError, StoppedError
from ocr_sweep.store import CorpusView
from ocr_sweep.sweep.reproduction.past import Losses, Past, recall
from ocr_sweep.sweep.reproduction.verdict import first_difference, first_factor
from ocr_sweep.sweep.signals import Signals
from ocr_sweep.sweep.trials.micro_batches import in_parts, throughout
from ocr_sweep.sweep.watching.board import Board
from ocr_sweep.tracking.provenance import provenance
from ocr_sweep.tracking.tracker import Tracker
from ocr_sweep.training.trainer import Trainer


@dataclass(frozen=True)
class FirstSteps:
    """What the first steps of a run say when they are done again."""

    num_steps: int
    of: int  # steps that the run did
    step: int | None  # the first, from 1, whose losses differ
    losses: tuple[float, float]  # at that step, then and now; else at the last one
    differences: tuple[str, ...]

    @property
    def sentence(self) -> str:
        """The verdict in one sentence."""
        then, now = self.losses
        if self.step is None:
            return f"identical so far: the losses of the first {self.num_steps} of {self.of} steps are equal to the last bit"
        return (
            f"diverged at step {self.step} of {self.of}: the loss was {then:.9g}, is {now:.9g}; "
            f"first differing factor: {first_factor(self.differences)}"
        )


class _Until:
    """Stops a training after so many steps, or at a signal, or where the losses have left the recorded ones."""

    def __init__(self, trainer: Trainer, recorded: Losses, board: Callable[[int], None], signals: Signals) -> None:
        self._trainer = trainer
        self._recorded = recorded
        self._done = board
        self._signals = signals

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        pass

    def should_stop(self) -> bool:
        losses = self._trainer.losses
        self._done(len(losses))
        left = bool(losses) and np.float32(losses[-1]) != self._recorded[len(losses) - 1]
        return left or len(losses) >= len(self._recorded) or self._signals.number is not None


def repeat_first_steps(
    run_id: str, num_steps: int, paths: Paths, board: Board, announce: Callable[[Sequence[str]], None]
) -> FirstSteps:
    """Do the first steps of a run again, in this process, and compare their losses. Nothing is recorded.

    Args:
        num_steps: at least 1; the run's own number where it is larger.
        announce: hears what differs from then, before training.

    Raises:
        NotFoundError: there is no such run.
        EvidenceError: the run never completed, or it recorded no losses.
        IntegrityError: what it recorded, or the corpus, was changed since.
        StoppedError: a signal came.
    """
    with Signals().listening() as signals:
        past = recall(Tracker.open(paths), run_id)
        if past.losses is None or not len(past.losses):
            raise EvidenceError(
                f"run {run_id} ({past.record.name}) recorded no losses of its steps, as those of former versions: "
                "leave --steps out to train it whole"
            )
        view = past.corpus(paths, signals.between(board.building))
        different = past.differences(provenance(view))
        announce(different)
        recorded = past.losses[:num_steps]
        losses = _losses(past, view, recorded, lambda done: board.building("training", done, len(recorded)), signals)
        if signals.number is not None:
            raise StoppedError("stopped; nothing was recorded", signals.number)
    return compared(recorded, losses, len(past.losses), different)


def compared(recorded: Losses, losses: Losses, of: int, different: Sequence[str]) -> FirstSteps:
    """The verdict on the losses of some first steps, (S,) as recorded and (S' <= S,) as they came now."""
    step = first_difference(recorded[: len(losses)], losses)
    last = len(losses) if step is None else step
    return FirstSteps(last, of, step, (float(recorded[last - 1]), float(losses[last - 1])), tuple(different))


def _losses(past: Past, view: CorpusView, recorded: Losses, done: Callable[[int], None], signals: Signals) -> Losses:
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        config = in_parts(past.config, throughout(past.parts))
        trainer = Trainer(config, CorpusView.open(view.path, config.training.fold), Path(folder) / "checkpoint.pt")
        trainer.run(_Until(trainer, recorded, done, signals))
        return np.asarray(trainer.losses[: len(recorded)], dtype=np.float32)
