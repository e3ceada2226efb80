"""How a network is optimised: AdamW, the handover, SGD; or one of them alone."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from ocr_sweep.config.block import Strict


class OptimConfig(Strict):
    """AdamW with warm-up and cosine decline, handed over to SGD with Nesterov momentum.

    `handover_at` 0 is SGD alone, 1 with `handover_patience` 0 is AdamW alone. Under SGD alone `lr` serves only to give
    `weight_decay` its meaning: SGD shrinks the weights per step as AdamW at `lr` would.
    """

    lr: float = Field(gt=0.0, le=1.0)  # AdamW's peak rate
    weight_decay: float = Field(ge=0.0, le=1.0)  # decoupled, of matrices and kernels only
    warmup: float = Field(ge=0.0, le=0.5)  # share of all steps, from lr/10 to lr; under SGD alone from sgd_lr/10 to sgd_lr
    clip_norm: float = Field(gt=0.0)  # gradients are scaled down to this global norm
    handover_at: float = Field(ge=0.0, le=1.0)  # share of all steps under AdamW; 0: SGD alone, 1: only on a plateau
    handover_patience: int = Field(ge=0)  # also hand over after this many epochs without gain; 0: never
    handover_rate: Literal["matched", "inherit", "fixed"]  # how SGD's first rate is found
    handover_kappa: float = Field(gt=0.0, le=1000.0)  # matched: SGD's step is this many AdamW steps long
    handover_to: Literal["sgd", "slower_adamw", "stop"] = "sgd"  # slower_adamw: AdamW at a tenth of its rate; stop: the end
    handover_momentum: Literal["cold", "warm"] = "cold"  # warm: SGD's momentum begins as AdamW's mean gradient / (1 - mu)
    sgd_momentum: float = Field(ge=0.0, lt=1.0)
    sgd_lr: float | None = Field(default=None, gt=0.0)  # fixed: SGD's first rate
    ema_decay: float | None = Field(default=None, gt=0.0, lt=1.0)  # judge and keep a moving average of the weights; null: no

    @model_validator(mode="after")
    def _fixed_needs_a_rate(self) -> OptimConfig:
        if (self.handover_rate == "fixed") != (self.sgd_lr is not None):
            raise ValueError(
                "sgd_lr must be given exactly when handover_rate is 'fixed', "
                f"but got (handover_rate={self.handover_rate!r}, sgd_lr={self.sgd_lr})"
            )
        return self

    @model_validator(mode="after")
    def _sgd_alone_needs_a_rate(self) -> OptimConfig:
        if self.handover_at == 0.0 and (self.handover_to != "sgd" or self.handover_rate != "fixed"):
            raise ValueError(
                "handover_at: 0 is SGD alone and must go with handover_to 'sgd' and handover_rate 'fixed', because there is no "
                f"AdamW to measure, but got (handover_to={self.handover_to!r}, handover_rate={self.handover_rate!r})"
            )
        return self
