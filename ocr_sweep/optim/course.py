"""The course of a training's optimiser: which one steps, at which rate, and when one hands over to the next.

adamw --handover--> sgd             `handover_to: sgd`
adamw --handover--> slower_adamw    `handover_to: slower_adamw`
adamw --handover--> (the end)       `handover_to: stop`
sgd                                 `handover_at: 0`
"""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import nn

from ocr_sweep.config.optim import OptimConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.optim.handover import matched_rate, matched_weight_decay, warm_momentum
from ocr_sweep.optim.optimizers import adamw, sgd
from ocr_sweep.optim.recorder import StepRecorder
from ocr_sweep.optim.schedules import cosine, warmup_cosine

Phase = Literal["adamw", "sgd", "slower_adamw"]
_SLOWER = 0.1  # of AdamW's rate


class Course:
    """AdamW, and what comes after it.

    Args:
        num_steps: optimiser updates of the whole training; the curves are laid over all of them, also where it stops early.

    Attributes:
        phase: who steps now.
        handover_step: updates done before it took over.
        sgd_lr: SGD's first rate; 0 as long as it has not come.
        swats_lr: SWATS' estimate of that rate, made at the handover to SGD; an observation, nobody obeys it.
    """

    def __init__(self, config: OptimConfig, model: nn.Module, *, num_steps: int) -> None:
        self._config = config
        self._model = model
        self._num_steps = num_steps
        self._sgd_decay = 0.0
        self.phase: Phase = "adamw"
        self.handover_step = 0
        self.sgd_lr = 0.0
        self.swats_lr = 0.0
        may_hand_over = config.handover_at < 1.0 or config.handover_patience > 0
        self.recorder = StepRecorder(model) if may_hand_over and config.handover_to == "sgd" else None
        self.optimizer: torch.optim.Optimizer = adamw(model, lr=config.lr, weight_decay=config.weight_decay)
        if config.handover_at == 0.0:
            self._to_sgd(config.lr, step=0)

    @property
    def handed_over(self) -> bool:
        """Whether AdamW has made way; what never was under AdamW has handed nothing over."""
        return self.handover_step > 0

    def due(self, step: int, *, stale_epochs: int) -> bool:
        """Whether AdamW should make way before update number `step`, after so many epochs without gain."""
        config = self._config
        if self.phase != "adamw" or step == 0:
            return False
        planned = config.handover_at < 1.0 and step >= round(config.handover_at * self._num_steps)
        return planned or 0 < config.handover_patience <= stale_epochs

    def ends(self, step: int, *, stale_epochs: int) -> bool:
        """Whether the training stops where AdamW makes way."""
        return self._config.handover_to == "stop" and self.due(step, stale_epochs=stale_epochs)

    def hand_over(self, step: int) -> None:
        """Let the next optimiser do update number `step` and those after it.

        Raises:
            TrialFailedError: the rate should match AdamW's steps, and there was none.
        """
        if self._config.handover_to == "slower_adamw":
            self.phase = "slower_adamw"
        else:
            self._to_sgd(self.rate(step - 1), step=step)
        self.handover_step = step

    def rate(self, step: int) -> float:
        """The rate of update number `step`."""
        config, num_steps = self._config, self._num_steps
        warmup_steps = round(config.warmup * num_steps)
        if self.phase != "sgd":
            slower = _SLOWER if self.phase == "slower_adamw" else 1.0
            return slower * config.lr * warmup_cosine(step, num_steps=num_steps, warmup_steps=warmup_steps)
        if not self.handover_step:
            return self.sgd_lr * warmup_cosine(step, num_steps=num_steps, warmup_steps=warmup_steps, floor=0.0)
        return self.sgd_lr * cosine(step - self.handover_step, num_steps=num_steps - self.handover_step)

    def update(self, step: int, scaler: torch.amp.GradScaler) -> None:
        """Clip the gradients and do update number `step` with them.

        Args:
            scaler: what scaled the loss; one that is not enabled does nothing.
        """
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate(step)
        scaler.unscale_(self.optimizer)
        nn.utils.clip_grad_norm_(self._model.parameters(), self._config.clip_norm)
        recorder = self.recorder if self.phase == "adamw" else None
        if recorder:
            recorder.before(self.optimizer)
        scaler.step(self.optimizer)
        scaler.update()
        if recorder:
            recorder.after()

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold."""
        return {
            "phase": self.phase,
            "handover_step": self.handover_step,
            "sgd_lr": self.sgd_lr,
            "sgd_decay": self._sgd_decay,
            "swats_lr": self.swats_lr,
            "recorder": self.recorder.state_dict() if self.recorder else None,
            "optimizer": self.optimizer.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on where `state_dict` was called."""
        self.phase, self.handover_step = state["phase"], state["handover_step"]
        self.sgd_lr, self._sgd_decay, self.swats_lr = state["sgd_lr"], state["sgd_decay"], state["swats_lr"]
        if self.recorder:
            self.recorder.load_state_dict(state["recorder"])
        if self.phase == "sgd":
            self.optimizer = self._sgd()
        self.optimizer.load_state_dict(state["optimizer"])

    def _to_sgd(self, adamw_lr: float, *, step: int) -> None:
        config, former = self._config, self.optimizer
        self.sgd_lr = self._first_rate(adamw_lr)
        if self.sgd_lr <= 0:
            raise TrialFailedError(f"no-gradient: the handover at step {step} found no step to match; gradients were all zero")
        if self.recorder:
            self.swats_lr = self.recorder.swats_rate(adamw_lr=adamw_lr, momentum=config.sgd_momentum)
        self._sgd_decay = matched_weight_decay(
            adamw_lr=adamw_lr, adamw_decay=config.weight_decay, sgd_lr=self.sgd_lr, momentum=config.sgd_momentum
        )
        self.phase, self.optimizer = "sgd", self._sgd()
        if config.handover_momentum == "warm":
            assert isinstance(former, torch.optim.AdamW)
            warm_momentum(self.optimizer, former)

    def _first_rate(self, adamw_lr: float) -> float:
        config = self._config
        match config.handover_rate:
            case "matched":
                assert self.recorder is not None
                ratio = self.recorder.median_ratio()
                return matched_rate(ratio, adamw_lr=adamw_lr, kappa=config.handover_kappa, momentum=config.sgd_momentum)
            case "inherit":
                return adamw_lr
            case "fixed":
                assert config.sgd_lr is not None
                return config.sgd_lr

    def _sgd(self) -> torch.optim.SGD:
        return sgd(self._model, lr=self.sgd_lr, weight_decay=self._sgd_decay, momentum=self._config.sgd_momentum)
