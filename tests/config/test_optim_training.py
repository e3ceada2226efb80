"""What an optimiser and a training may be: contradictions are refused, and what files leave out means what it did."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from ocr_sweep.config.optim import OptimConfig
from ocr_sweep.config.training import TrainingConfig

OPTIM: dict[str, Any] = {
    "lr": 0.01, "weight_decay": 0.02, "warmup": 0.1, "clip_norm": 5.0, "handover_at": 0.8, "handover_patience": 0,
    "handover_rate": "matched", "handover_kappa": 10.0, "sgd_momentum": 0.9,
}  # fmt: skip
TRAINING: dict[str, Any] = {"epochs": 5, "batch_size": 16, "images_per_epoch": None, "sampling": "instance", "threads": 1}


def test_what_a_file_leaves_out_is_what_it_was() -> None:
    optim, training = OptimConfig.model_validate(OPTIM), TrainingConfig.model_validate(TRAINING)
    assert (optim.handover_to, optim.handover_momentum, optim.ema_decay) == ("sgd", "cold", None)
    assert (training.accumulate, training.precision, training.compile, training.devices) == (1, "fp32", False, 1)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"handover_at": 0.0}, "SGD alone and must go with handover_to 'sgd' and handover_rate 'fixed'"),
        ({"handover_at": 0.0, "handover_rate": "fixed", "sgd_lr": 0.1, "handover_to": "stop"}, "but got .handover_to='stop'"),
        ({"ema_decay": 1.0}, "less than 1"),
        ({"ema_decay": 0.0}, "greater than 0"),
        ({"handover_to": "adam"}, "'sgd', 'slower_adamw' or 'stop'"),
        ({"handover_momentum": "hot"}, "'cold' or 'warm'"),
    ],
)
def test_an_optimiser_that_contradicts_itself_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        OptimConfig.model_validate({**OPTIM, **changes})


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"accumulate": 9}, r"at least 2 images.*but got \(batch_size=16, accumulate=9\); write at most 8"),
        ({"devices": 9}, r"devices must leave .*but got \(batch_size=16, accumulate=1, devices=9\); write at most 8"),
        ({"devices": 3, "accumulate": 4}, r"but got \(batch_size=16, accumulate=4, devices=3\); write at most 2"),
        ({"devices": 2, "compile": True}, r"compile must go with one device.*; write compile: false or devices: 1"),
        ({"devices": 65}, "less than or equal to 64"),
        ({"accumulate": 0}, "greater than or equal to 1"),
        ({"precision": "fp8"}, "'fp32', 'bf16' or 'fp16'"),
    ],
)
def test_a_training_that_cannot_be_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        TrainingConfig.model_validate({**TRAINING, **changes})
    TrainingConfig.model_validate({**TRAINING, "accumulate": 8})
    TrainingConfig.model_validate({**TRAINING, "accumulate": 4, "devices": 2})


@pytest.mark.parametrize(
    "changes",
    [
        {"handover_at": 0.0, "handover_rate": "fixed", "sgd_lr": 0.1},
        {"handover_at": 1.0, "handover_momentum": "warm", "handover_to": "stop"},  # nothing to hand over, as a base may say
        {"ema_decay": 0.999, "handover_to": "slower_adamw"},
    ],
)
def test_every_arm_can_be_written(changes: dict[str, Any]) -> None:
    OptimConfig.model_validate({**OPTIM, **changes})
