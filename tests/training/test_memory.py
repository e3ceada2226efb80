from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from ocr_sweep.config.training import TrainingConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.models import build_model
from ocr_sweep.training.memory import MB, StepMemory, check_memory, memory_errors, peak_mb, predicted_mb, step_memory

TRAINING = TrainingConfig(
    epochs=1, batch_size=64, images_per_epoch=None, sampling="instance", threads=1, accumulate=4
)  # fmt: skip
SENTENCE = r"^oom: the memory of this machine .*batch_size is 64 and training.accumulate 4; write accumulate: 8"


def test_a_failed_allocation_of_torch_on_a_cpu_says_what_to_write() -> None:
    with pytest.raises(TrialFailedError, match=SENTENCE), memory_errors(TRAINING):
        torch.empty(2**60, dtype=torch.uint8)


def test_a_failed_allocation_of_numpy_says_what_to_write() -> None:
    with pytest.raises(TrialFailedError, match=SENTENCE), memory_errors(TRAINING):
        np.empty(2**60, dtype=np.uint8)


def test_a_gpu_that_is_full_is_named() -> None:
    with pytest.raises(TrialFailedError, match=r"^oom: the memory of the GPU"), memory_errors(TRAINING):
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_parts_that_cannot_be_smaller_are_not_advised() -> None:
    with (
        pytest.raises(TrialFailedError, match="as small as parts get"),
        memory_errors(TRAINING.model_copy(update={"accumulate": 32})),
    ):
        raise MemoryError


def test_parts_on_several_devices_are_smaller_already() -> None:
    with pytest.raises(TrialFailedError, match="write accumulate: 8"), memory_errors(TRAINING.model_copy(update={"devices": 4})):
        raise MemoryError
    with (
        pytest.raises(TrialFailedError, match="as small as parts get"),
        memory_errors(TRAINING.model_copy(update={"devices": 8})),
    ):
        raise MemoryError


def test_each_device_holds_its_slice_and_what_it_sends(make_trial: Callable[..., TrialConfig]) -> None:
    one, half = (step_memory(make_trial({"training.batch_size": size}), 8) for size in (16, 8))
    two = step_memory(make_trial({"training.devices": 2}), 8)
    gradients = 4 * sum(p.numel() for p in build_model(make_trial().model, 8, 16).parameters())
    assert (two.weights, two.lasting, two.peak) == (one.weights, one.lasting, half.peak + gradients)


def test_other_errors_stay_what_they_are() -> None:
    with pytest.raises(RuntimeError, match="shapes"), memory_errors(TRAINING):
        raise RuntimeError("shapes differ")


def test_what_would_not_fit_does_not_begin() -> None:
    check_memory(7_000.0, 8_000.0, TRAINING)
    with pytest.raises(
        TrialFailedError, match=r"^oom: this training needs about 9,000 MB, and the GPU has 8,000 MB free; .*accumulate: 8"
    ):
        check_memory(9_000.0, 8_000.0, TRAINING)


@pytest.mark.parametrize(
    ("changes", "expected"),  # of weights 10, lasting 40 and a step's peak of 45 or 100 MB
    [
        ({}, (60 + 10, 100 + 10)),  # the weights before a step and the step itself, and the best epoch's
        ({"handover_at": 1.0}, (45 + 10, 100 + 10)),
        ({"handover_to": "stop", "ema_decay": 0.9}, (45 + 20, 100 + 20)),
    ],
)
def test_a_training_needs_more_than_its_steps(
    changes: dict[str, Any], expected: tuple[float, float], make_trial: Callable[..., TrialConfig]
) -> None:
    optim = make_trial({f"optim.{key}": value for key, value in changes.items()}).optim
    for peak, value in zip((45, 100), expected, strict=True):
        assert predicted_mb(StepMemory(10 * MB, 40 * MB, peak * MB), optim) == value


def test_the_peak_rises_with_what_is_used() -> None:
    before = peak_mb(torch.device("cpu"))
    hundred = np.ones(400 * 2**20, dtype=np.uint8)
    assert peak_mb(torch.device("cpu")) >= before and peak_mb(torch.device("cpu")) > hundred.nbytes / 2**20
