"""Calibration writes an offset that evaluation and the exported file hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import DataError
from ocr_sweep.export.onnx_file import export_onnx
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.models import Network, build_model
from ocr_sweep.store import CorpusView, Source
from ocr_sweep.training.calibration import calibrate, check_calibration, learnt_prior
from ocr_sweep.training.classifier_heads import MeanCollector
from ocr_sweep.training.feed import to_tensor
from ocr_sweep.training.stacking import halves
from ocr_sweep.training.trainer import predict_logits

MakeTrial = Callable[..., TrialConfig]
STACKING = {"calibration": {"kind": "stacking"}}


class Shifted(nn.Module):
    """A head that reads well and prefers the six classes that have scans."""

    def __init__(self, head: nn.Module, shift: float) -> None:
        super().__init__()
        self.head = head
        self.register_buffer("shift", torch.tensor([shift] * 6 + [0.0] * 2))

    def forward(self, features: Tensor) -> Tensor:
        return self.head(features) + self.shift  # type: ignore[no-any-return, operator]


def network(config: TrialConfig, view: CorpusView | None = None, shift: float = 0.0) -> Network:
    """An untrained extractor; with a view, under the nearest class mean of all its images."""
    torch.manual_seed(0)
    model = build_model(config.model, 8, 16).eval()
    if view is not None:
        with torch.no_grad():
            features = model.features(to_tensor(np.array(view.images), 16))
        collector = MeanCollector(model.num_features, 8)
        collector.add(features)
        collector.add_to_classes(features, view.class_ids)
        model.head = Shifted(collector.head(), shift)
    return model


def logits_of(model: Network, view: CorpusView) -> np.ndarray:
    return predict_logits(model, view, view.indices("val"), 16)


def test_stacking_finds_a_shift_that_was_planted_into_the_network(
    tiny_corpus: CorpusView, make_trial: MakeTrial, tmp_path: Path
) -> None:
    config = make_trial(STACKING)
    model = network(config, tiny_corpus, shift=50.0)
    before = logits_of(model, tiny_corpus)
    assert (before.argmax(axis=1) < 6).all(), "nothing is read as a class that has no scans"
    metrics = calibrate(config, tiny_corpus, model)
    assert metrics["calibration/gamma"] == pytest.approx(50, abs=1)
    expected = before - metrics["calibration/gamma"] * (np.arange(8) < 6)
    np.testing.assert_allclose(logits_of(model, tiny_corpus), expected, atol=1e-4)
    assert metrics["calibration/val_half_after"] >= metrics["calibration/val_half_before"] + 0.1
    export_onnx(model, tmp_path / "model.onnx", chars=tiny_corpus.chars, image_size=16)
    exported = Scorer(tmp_path / "model.onnx", threads=1).corpus_logits(tiny_corpus, tiny_corpus.indices("val"))
    np.testing.assert_allclose(exported, expected, atol=1e-3)
    assert calibrate(config, tiny_corpus, model) == metrics, "a calibration does not build on a former one"


def test_the_second_half_has_no_say_in_gamma(tiny_corpus: CorpusView, make_trial: MakeTrial) -> None:
    config = make_trial(STACKING)
    whole = calibrate(config, tiny_corpus, network(config, tiny_corpus, 0.3))
    val = tiny_corpus.indices("val")
    val = val[tiny_corpus.rows["source"][val] == Source.SCANNED]
    second = val[~halves(tiny_corpus.class_ids[val], np.asarray(tiny_corpus.rows["group"][val]))]
    images = np.array(tiny_corpus.images)
    images[second] = 255 - images[second]
    other = calibrate(config, replace(tiny_corpus, images=images), network(config, tiny_corpus, 0.3))
    assert other["calibration/gamma"] == whole["calibration/gamma"]
    assert other["calibration/val_half_before"] != whole["calibration/val_half_before"]


def test_the_posthoc_offset_is_the_prior_of_what_the_head_saw(tiny_corpus: CorpusView, make_trial: MakeTrial) -> None:
    natural = np.array([12] * 6 + [6] * 2) / 84
    config = make_trial({"calibration": {"kind": "posthoc_adjustment", "tau": 1.5}})
    model = network(config)
    before = logits_of(model, tiny_corpus)
    assert calibrate(config, tiny_corpus, model) == {}
    np.testing.assert_allclose(logits_of(model, tiny_corpus), before - 1.5 * np.log(natural), rtol=1e-5, atol=1e-5)
    root = make_trial({"training.sampling": "square_root"})
    np.testing.assert_allclose(learnt_prior(root, tiny_corpus), np.sqrt(natural) / np.sqrt(natural).sum())
    crt = {"kind": "crt", "bn_mode": "eval", "epochs": 1, "lr": 0.1, "sampling": "instance"}
    np.testing.assert_allclose(learnt_prior(make_trial({"classifier": crt}), tiny_corpus), np.full(8, 1 / 8))  # six of each


def test_a_corpus_without_unseen_classes_is_refused(tiny_corpus: CorpusView, make_trial: MakeTrial) -> None:
    check_calibration(make_trial(STACKING), tiny_corpus)
    rows = np.array(tiny_corpus.rows)
    rows["source"][tiny_corpus.indices("train")] = Source.SCANNED  # every class learns from scans
    with pytest.raises(
        DataError, match=r"of 8 classes 8 learn from scans and 0 others have validation scans; hide .*pseudo_tail"
    ):
        check_calibration(make_trial(STACKING), replace(tiny_corpus, rows=rows))
    rows = np.array(tiny_corpus.rows)
    rows["group"] = rows["class_id"] // 6  # all scans of the unseen classes are of one group, which no half may tear
    rows["class_id"][rows["class_id"] == 7] = 6
    with pytest.raises(DataError, match="in two groups at least"):
        check_calibration(make_trial(STACKING), replace(tiny_corpus, rows=rows))
    check_calibration(make_trial(), replace(tiny_corpus, rows=rows))
