from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from listener import Listener

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.store import CorpusView
from ocr_sweep.training.trainer import Trained, Trainer


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
