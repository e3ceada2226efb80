from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.store import CorpusView
from ocr_sweep.training.trainer import Trained, Trainer


@dataclass
class Listener:
    """An observer that stops before its batch number `stop_after`, and remembers what it heard."""

    stop_after: int | None = None
    batches: int = 0
    told: list[tuple[int, dict[str, float]]] = field(default_factory=list)

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        self.told.append((epoch, metrics))

    def should_stop(self) -> bool:
        if self.batches == self.stop_after:
            return True
        self.batches += 1
        return False


@dataclass
class Session:
    """One sitting of a training."""

    trainer: Trainer
    listener: Listener
    trained: Trained | None


@pytest.fixture
def sit(tiny_corpus: CorpusView, tmp_path: Path) -> Callable[..., Session]:
    """Train in a folder, from its checkpoint, until the end or for so many batches."""

    def sit(config: TrialConfig, name: str = "trial", stop_after: int | None = None) -> Session:
        (tmp_path / name).mkdir(exist_ok=True)
        trainer, listener = Trainer(config, tiny_corpus, tmp_path / name / "checkpoint.pt"), Listener(stop_after)
        return Session(trainer, listener, trainer.run(listener))

    return sit
