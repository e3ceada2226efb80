"""What makes a trained network a delivered one: its certificate, its threshold, its card."""

from __future__ import annotations

import io
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import nn

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import write_bytes, write_json
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.export.onnx_file import describe_onnx
from ocr_sweep.export.parity import certify, disagreement
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.export.scorer import Scorer, ValidationLogits
from ocr_sweep.metrics import Acceptance, choose_acceptance
from ocr_sweep.store import CorpusView, resized
from ocr_sweep.sweep.trials.attempt import PROBE, Attempt
from ocr_sweep.sweep.trials.file_card import file_card
from ocr_sweep.training.predict import square_logits

_PROBE_IMAGES = 64  # of them, one blank and one noise


def prove(attempt: Attempt, scorer: Scorer, model: nn.Module, view: CorpusView, validation: ValidationLogits) -> None:
    """Write the certificate of parity over all of validation, and the images that a later promotion tries again.

    Raises:
        TrialFailedError: the file disagrees with the network, or prepares pictures otherwise than the corpus.
    """
    probe = _probe(view, scorer.image_size)
    answered = ((resized(view.images[chosen], scorer.image_size), logits) for chosen, logits in validation.chunks())
    parity = certify(scorer, partial(square_logits, model), answered, probe, view.chars)
    write_json(attempt.result / "parity.json", parity.as_dict())
    if not parity.holds:
        raise TrialFailedError(f"parity: the ONNX file must agree with PyTorch, but {disagreement(parity)}")
    buffer = io.BytesIO()
    np.savez(buffer, images=probe)
    write_bytes(attempt.result / PROBE, buffer.getvalue())


def describe(
    path: Path,
    config: TrialConfig,
    view: CorpusView,
    predictions: Predictions,
    acceptance: Acceptance,
    metrics: Mapping[str, float],
) -> None:
    """Write into an exported file what its validation says: temperature, threshold and card."""
    assert predictions.temperature is not None, "only files of former versions have none"
    facts = {
        "temperature": float(predictions.temperature),
        "threshold": acceptance.as_dict(),
        "card": file_card(config, view, acceptance, metrics),
    }
    describe_onnx(path, facts)


def acceptance_of(predictions: Predictions, view: CorpusView) -> Acceptance:
    """The threshold that validation chooses."""
    assert predictions.confidence is not None, "only files of former versions have none"
    rows = predictions.of_set("val", view)
    return choose_acceptance(predictions.confidence[rows], predictions.top5[rows, 0] == predictions.label[rows])


def acceptance_metrics(predictions: Predictions, view: CorpusView, acceptance: Acceptance) -> dict[str, float]:
    """The threshold, and of each split the share of images that get an answer and of answers that are right."""
    assert predictions.confidence is not None, "only files of former versions have none"
    metrics = {"unknown/threshold": acceptance.value}
    for split in ("val", "test"):
        rows = predictions.of_set(split, view)
        given = rows[predictions.confidence[rows] >= acceptance.value]
        right = predictions.top5[given, 0] == predictions.label[given]
        metrics[f"{split}/accepted"] = len(given) / len(rows)
        if len(given):
            metrics[f"{split}/precision_accepted"] = float(right.mean())
    return metrics


def _probe(view: CorpusView, size: int) -> NDArray[np.uint8]:
    """Squares from all over validation, and a blank and a noisy one."""
    indices = view.indices("val")
    chosen = np.linspace(0, len(indices) - 1, min(_PROBE_IMAGES - 2, len(indices))).astype(np.int64)
    noise = np.random.default_rng(0).integers(0, 256, (1, size, size), np.uint8)
    return np.concatenate([resized(view.images[indices[chosen]], size), np.zeros_like(noise), noise])
