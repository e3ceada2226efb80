"""What one trial is: a corpus, a network, a loss, a schedule. Frozen, typed, and complete."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ocr_sweep.config.augment import AugmentConfig
from ocr_sweep.config.block import Strict
from ocr_sweep.config.corpus import CorpusConfig


class UNetConfig(Strict):
    """A U-Net that classifies from its bottleneck; the decoder, if any, learns to restore the clean image."""

    kind: Literal["unet"]
    base_channels: int = Field(ge=4, le=128)  # channels of the first level; each level doubles them
    depth: int = Field(ge=2, le=5)  # levels below the first
    dropout: float = Field(ge=0.0, le=0.9)  # before the head, probability
    decoder: bool  # false: encoder and head only
    reconstruction_weight: float = Field(ge=0.0, le=100.0)  # lambda of the reconstruction loss


class TimmConfig(Strict):
    """Any timm classifier, trained from scratch on one input channel."""

    kind: Literal["timm"]
    name: str = Field(min_length=1)  # timm's name, e.g. efficientformerv2_s0
    dropout: float = Field(ge=0.0, le=0.9)  # timm's drop_rate


ModelConfig = Annotated[UNetConfig | TimmConfig, Field(discriminator="kind")]


class LossConfig(Strict):
    """The classification loss."""

    kind: Literal["cross_entropy", "bce"]
    label_smoothing: float = Field(ge=0.0, le=0.9)  # probability mass spread over all classes


class OptimConfig(Strict):
    """AdamW with warm-up and cosine decline, handed over to SGD with Nesterov momentum."""

    lr: float = Field(gt=0.0, le=1.0)  # AdamW's peak rate
    weight_decay: float = Field(ge=0.0, le=1.0)  # decoupled, of matrices and kernels only
    warmup: float = Field(ge=0.0, le=0.5)  # share of all steps, from lr/10 to lr
    clip_norm: float = Field(gt=0.0)  # gradients are scaled down to this global norm
    handover_at: float = Field(gt=0.0, le=1.0)  # share of the epochs under AdamW; 1: never hand over
    handover_patience: int = Field(ge=0)  # also hand over after this many epochs without gain; 0: never
    handover_rate: Literal["matched", "inherit", "fixed"]  # how SGD's first rate is found
    handover_kappa: float = Field(gt=0.0, le=1000.0)  # matched: SGD's step is this many AdamW steps long
    sgd_momentum: float = Field(ge=0.0, lt=1.0)
    sgd_lr: float | None = Field(default=None, gt=0.0)  # fixed: SGD's first rate

    @model_validator(mode="after")
    def _fixed_needs_a_rate(self) -> OptimConfig:
        if (self.handover_rate == "fixed") != (self.sgd_lr is not None):
            raise ValueError(
                "sgd_lr must be given exactly when handover_rate is 'fixed', "
                f"but got (handover_rate={self.handover_rate!r}, sgd_lr={self.sgd_lr})"
            )
        return self


class TrainingConfig(Strict):
    """How long, in what batches, and on how many threads."""

    epochs: int = Field(ge=1, le=10_000)
    batch_size: int = Field(ge=2, le=8192)
    images_per_epoch: int | None = Field(ge=2, le=100_000_000)  # null: as many as the training set has
    sampling: Literal["instance", "square_root", "class_balanced"]
    threads: int = Field(ge=1, le=1024)  # CPU threads of this trial; equal bits need equal threads
    fold: int = Field(default=0, ge=0, lt=50)  # the one that validates, where the corpus has folds
    augment_on: Literal["cpu", "batch"] = "cpu"  # cpu: image by image; batch: whole batches where the network is, GPU or CPU
    leave_out: list[Literal["rendered", "scanned", "generated"]] = Field(default_factory=list)  # sources that do not train

    @field_validator("leave_out")
    @classmethod
    def _something_is_left(cls, sources: list[str]) -> list[str]:
        if len(set(sources)) < len(sources):
            raise ValueError(f"must name each source once, but got {', '.join(sources)}")
        if len(sources) == 3:
            raise ValueError("must leave at least one source in, but got all three; take one out of the list")
        return sources


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
