"""How a network is optimised: AdamW, the handover, SGD."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ocr_sweep.config.block import Strict


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
