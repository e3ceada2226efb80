"""Which images the classifier stage learns from, and the batches that it draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from ocr_sweep.config.classifier import LearntScale, RetrainedHead
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.store import CorpusView, Source
from ocr_sweep.training.feed import Feed, training_indices


def classifier_indices(config: TrialConfig, view: CorpusView) -> NDArray[np.int64]:
    """Image numbers, ascending, of what the last stage that learns sees: all of training, or the stage's share of it."""
    train = training_indices(view, config.training.leave_out)
    if config.classifier is None or config.classifier.data == "all":
        return train
    return scans_or_else(view, train)


def scans_or_else(view: CorpusView, train: NDArray[np.int64]) -> NDArray[np.int64]:
    """The scans of each class that has any among `train`, and all images of each class that has none."""
    scanned = view.rows["source"][train] == Source.SCANNED
    has_scans = np.zeros(view.num_classes, dtype=bool)
    has_scans[view.class_ids[train[scanned]]] = True
    kept: NDArray[np.int64] = train[scanned | ~has_scans[view.class_ids[train]]]
    return kept


def classifier_feed(config: TrialConfig, view: CorpusView, device: torch.device) -> Feed:
    """The stage's batches, augmented as those of the representation."""
    sampling, num_images = "instance", None
    if isinstance(config.classifier, RetrainedHead | LearntScale):
        sampling, num_images = config.classifier.sampling, config.classifier.images_per_epoch
    changed: dict[str, object] = {"sampling": sampling, "images_per_epoch": num_images, "leave_out": []}
    return Feed(
        narrowed(view, classifier_indices(config, view)),
        config.training.model_copy(update=changed),
        config.augment,
        seed=config.seed,
        image_size=config.image_size,
        device=device,
    )


def narrowed(view: CorpusView, kept: NDArray[np.int64]) -> CorpusView:
    """The corpus with only `kept` as its training images; image numbers stay."""
    rows = np.array(view.rows)
    rows["set_id"][view.indices("train")] = -1  # in no set
    rows["set_id"][kept] = view.rows["set_id"][kept]
    rows.setflags(write=False)
    return replace(view, rows=rows)
