"""The calibration of a trained network: an offset of its logits, which evaluation and export then hold."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ocr_sweep.config.classifier import LearntScale, PosthocAdjustment, RetrainedHead, Stacking
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import DataError
from ocr_sweep.models import Network
from ocr_sweep.store import CorpusView, Source
from ocr_sweep.training.classifier_data import classifier_indices
from ocr_sweep.training.feed import training_indices
from ocr_sweep.training.stacking import Contest, choose_gamma, halves
from ocr_sweep.training.trainer import predict_logits

_CHUNK = 2048  # images whose (., K) logits are held at once


def calibrate(config: TrialConfig, view: CorpusView, model: Network) -> dict[str, float]:
    """Write the calibration that a trial asks for into `model.offset`; returns what is worth recording."""
    match config.calibration:
        case None:
            return {}
        case PosthocAdjustment(tau=tau):
            _set_offset(model, -tau * np.log(learnt_prior(config, view)))
            return {}
        case Stacking():
            return _stack(config, view, model)


def check_calibration(config: TrialConfig, view: CorpusView) -> None:
    """Refuse a calibration that the corpus has no images for, before anything is trained.

    Raises:
        DataError: no class without training scans has validation scans in two groups, or every class is without.
    """
    if not isinstance(config.calibration, Stacking):
        return
    seen = classes_with_scans(config, view)
    indices = _validation_scans(view)
    first = halves(view.class_ids[indices], np.asarray(view.rows["group"][indices], dtype=np.int64))
    unseen = ~seen[view.class_ids[indices]]
    if not all((unseen & half).any() and (~unseen & half).any() for half in (first, ~first)):
        raise DataError(
            "calibration stacking needs validation scans, in two groups at least, both of classes that learn from scans and of "
            f"classes that do not, but of {view.num_classes} classes {int(seen.sum())} learn from scans and "
            f"{len(np.unique(view.class_ids[indices][unseen]))} others have validation scans; hide some classes' scans from "
            "training with `pseudo_tail` in the corpus, or leave calibration out"
        )


def learnt_prior(config: TrialConfig, view: CorpusView) -> NDArray[np.float64]:
    """(K,) how often each class came to the head while it learnt: n or sqrt(n), as the sampling is, to a sum of 1."""
    learning = config.classifier if isinstance(config.classifier, RetrainedHead | LearntScale) else config.training
    counts = np.bincount(view.class_ids[classifier_indices(config, view)], minlength=view.num_classes)
    drawn = counts ** {"instance": 1.0, "square_root": 0.5}[learning.sampling]
    return np.asarray(drawn / drawn.sum())


def classes_with_scans(config: TrialConfig, view: CorpusView) -> NDArray[np.bool_]:
    """(K,) which classes learn from scans in this trial."""
    train = training_indices(view, config.training.leave_out)
    scanned = train[view.rows["source"][train] == Source.SCANNED]
    return np.bincount(view.class_ids[scanned], minlength=view.num_classes) > 0


def _stack(config: TrialConfig, view: CorpusView, model: Network) -> dict[str, float]:
    seen = classes_with_scans(config, view)
    indices = _validation_scans(view)
    _set_offset(model, np.zeros(len(seen)))
    parts = []
    for start in range(0, len(indices), _CHUNK):
        chosen = indices[start : start + _CHUNK]
        logits = predict_logits(model, view, chosen, config.image_size, config.training.accumulate)
        parts.append(Contest.of(logits, view.class_ids[chosen], seen))
    contest = Contest.joined(parts)
    first = halves(contest.label, np.asarray(view.rows["group"][indices], dtype=np.int64))
    gamma = choose_gamma(contest[first])
    _set_offset(model, -gamma * seen)
    return {
        "calibration/gamma": gamma,
        "calibration/val_half_before": contest[~first].macro_accuracy(0.0),
        "calibration/val_half_after": contest[~first].macro_accuracy(gamma),
    }


def _validation_scans(view: CorpusView) -> NDArray[np.int64]:
    val = view.indices("val")
    scans: NDArray[np.int64] = val[view.rows["source"][val] == Source.SCANNED]
    return scans


def _set_offset(model: Network, offset: NDArray[np.floating]) -> None:
    model.offset.copy_(torch.from_numpy(np.asarray(offset, dtype=np.float32)))
