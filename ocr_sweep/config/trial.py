"""What one trial is: a corpus, a network, a loss, a schedule. Frozen, typed, and complete."""

from __future__ import annotations

from pydantic import Field, model_validator

from ocr_sweep.config.augment import AugmentConfig
from ocr_sweep.config.block import Strict
from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.config.loss import LossConfig
from ocr_sweep.config.model import CapsuleConfig, CosineHead, ModelConfig
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

    @model_validator(mode="after")
    def _fold_exists(self) -> TrialConfig:
        if self.training.fold >= (self.corpus.folds or 1):
            folds = f"{self.corpus.folds} folds" if self.corpus.folds else "no `folds`"
            raise ValueError(f"training.fold must be below the number of folds, but got {self.training.fold} with {folds}")
        return self

    @model_validator(mode="after")
    def _frequencies_are_made_up_for_once(self) -> TrialConfig:
        key, sampling = self.loss.knows_frequencies, self.training.sampling
        if key and sampling != "instance":
            raise ValueError(
                f"loss.{key} and training.sampling both make up for class frequencies, and that must happen once, but got "
                f"loss.{key} with sampling {sampling!r}; sample by 'instance' or leave loss.{key} out"
            )
        return self

    @model_validator(mode="after")
    def _glyphs_are_there(self) -> TrialConfig:
        similarity = self.loss.similarity
        if similarity is None or similarity.source != "rendered":
            return self
        if self.corpus.rendered is None or "rendered" in self.training.leave_out:
            why = "has none" if self.corpus.rendered is None else "leaves them out"
            raise ValueError(
                f"loss.similarity.source 'rendered' needs the rendered glyphs of the corpus, but this trial {why}; "
                "name a file, or let rendered glyphs train"
            )
        return self

    @model_validator(mode="after")
    def _binary_loss_has_a_bias(self) -> TrialConfig:
        if self.loss.kind == "bce" and not isinstance(self.model, CapsuleConfig) and isinstance(self.model.head, CosineHead):
            raise ValueError(
                "loss.kind 'bce' needs a head with a bias, but got model.head.kind 'cosine', which has none; "
                "write 'linear' or 'low_rank', or the loss 'cross_entropy'"
            )
        return self
