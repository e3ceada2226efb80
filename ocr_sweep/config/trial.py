"""What one trial is: a corpus, a network, a loss, a schedule. Frozen, typed, and complete."""

from __future__ import annotations

from pydantic import Field, model_validator

from ocr_sweep.config.augment import AugmentConfig
from ocr_sweep.config.block import Strict
from ocr_sweep.config.classifier import CalibrationConfig, ClassifierConfig
from ocr_sweep.config.contradictions import contradictions
from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.config.loss import LossConfig
from ocr_sweep.config.model import ModelConfig
from ocr_sweep.config.optim import OptimConfig
from ocr_sweep.config.training import TrainingConfig


class TrialConfig(Strict):
    """One complete trial. Its fingerprint names everything that it learns from."""

    corpus: CorpusConfig
    seed: int = Field(ge=0, lt=2**31)
    image_size: int = Field(ge=16, le=512)  # side in pixels of what the network sees
    model: ModelConfig
    augment: AugmentConfig
    loss: LossConfig
    optim: OptimConfig
    training: TrainingConfig
    classifier: ClassifierConfig | None = None  # the stage after the representation; null: the head is learnt with it, and stays
    calibration: CalibrationConfig | None = None  # of the logits, after all training

    @property
    def num_epochs(self) -> int:
        """Epochs of all stages, at most."""
        return self.training.epochs + (self.classifier.num_epochs if self.classifier is not None else 0)

    @model_validator(mode="after")
    def _blocks_agree(self) -> TrialConfig:
        found = next(contradictions(self), None)
        if found is not None:
            raise ValueError(found)
        return self
