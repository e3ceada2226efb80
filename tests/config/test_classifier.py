from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from pydantic import ValidationError

from ocr_sweep.config.trial import TrialConfig

MakeTrial = Callable[..., TrialConfig]
COSINE = {"kind": "cosine", "scale": 30.0}
UNET = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.1, "decoder": False, "reconstruction_weight": 0.0}
CRT: dict[str, Any] = {"kind": "crt", "bn_mode": "eval", "epochs": 2, "lr": 0.5}
LWS: dict[str, Any] = {**CRT, "kind": "lws"}
TAU: dict[str, Any] = {"kind": "tau_norm", "bn_mode": "eval", "tau": 1.0}
NCM: dict[str, Any] = {"kind": "ncm", "bn_mode": "eval"}
LOW_RANK = {"kind": "low_rank", "rank": 2}
POSTHOC = {"kind": "posthoc_adjustment", "tau": 1.0}
STACKING = {"kind": "stacking"}
NO_VAL = [{"name": "book", "path": "book", "split": {"train": 0.8, "val": 0.0, "test": 0.2}, "group": None, "max_bad": 0.0}]


def test_without_a_classifier_a_trial_means_what_it_meant(trial_data: dict[str, Any]) -> None:
    config = TrialConfig.model_validate(trial_data)
    assert config.classifier is None and config.calibration is None
    assert config.num_epochs == config.training.epochs


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"model": {**UNET, "head": COSINE}, "classifier": TAU},
            "classifier tau_norm rescales the rows of a linear head, but the model's is 'cosine'",
        ),
        ({"model": {**UNET, "head": LOW_RANK}, "classifier": LWS}, "but the model's is 'low_rank'"),
        ({"calibration": POSTHOC, "training.sampling": "class_balanced"}, "training.sampling 'class_balanced' has done so"),
        ({"calibration": POSTHOC, "classifier": CRT}, "that must happen once, but classifier crt has done so already"),
        ({"calibration": POSTHOC, "classifier": NCM}, "but classifier ncm has done so already"),
        ({"calibration": STACKING, "corpus.scanned": NO_VAL}, "but this trial validates on no scans"),
        ({"calibration": STACKING, "training.leave_out": ["scanned"]}, "but this trial leaves scans out of training"),
        ({"classifier": {"kind": "crt", "epochs": 1, "lr": 0.1}}, "bn_mode"),
    ],
)
def test_contradictions_are_refused(changes: dict[str, Any], sentence: str, make_trial: MakeTrial) -> None:
    with pytest.raises(ValidationError) as caught:
        make_trial(changes)
    assert sentence in str(caught.value) and caught.value.error_count() == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"model": {**UNET, "head": COSINE}, "classifier": CRT},
        {"model": {**UNET, "head": COSINE}, "classifier": {"kind": "ncm", "bn_mode": "recalibrate", "data": "all"}},
        {"calibration": POSTHOC, "training.sampling": "square_root"},
        {"calibration": POSTHOC, "classifier": {**CRT, "sampling": "instance"}},
        {"calibration": {"kind": "stacking"}, "classifier": CRT},
    ],
)
def test_what_goes_together_is_taken(changes: dict[str, Any], make_trial: MakeTrial) -> None:
    assert make_trial(changes).num_epochs >= 5
