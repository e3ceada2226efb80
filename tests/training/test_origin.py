"""A training goes on with its own checkpoint and with no other's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from listener import Listener

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TrialFailedError
from ocr_sweep.store import CorpusView
from ocr_sweep.training.train import Files, train

MakeTrial = Callable[..., TrialConfig]
ENCODER = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.1, "decoder": False, "reconstruction_weight": 0.0}
CRT = {"kind": "crt", "bn_mode": "eval", "epochs": 2, "lr": 0.5}


def sit(config: TrialConfig, view: CorpusView, folder: Path, stop_after: int | None = None) -> Listener:
    listener = Listener(stop_after)
    train(config, view, Files(folder / "checkpoint.pt", folder / "classifier.pt"), listener)
    return listener


def changed(view: CorpusView, **manifest: Any) -> CorpusView:
    return replace(view, manifest={**view.manifest, **manifest})


@pytest.fixture
def begun(make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path) -> TrialConfig:
    """A trial that was stopped after four batches of its fifteen."""
    config: TrialConfig = make_trial({"model": ENCODER})
    sit(config, tiny_corpus, tmp_path, stop_after=4)
    return config


def test_a_checkpoint_from_another_charset_fails_the_trial(begun: TrialConfig, tiny_corpus: CorpusView, tmp_path: Path) -> None:
    count = tiny_corpus.num_classes
    others = changed(tiny_corpus, fingerprint="f" * 64, recipe={"charset": {"chars": "一二三四五六七八九十"[:count]}})
    assert others.num_classes == count, "its weights would fit"
    sentence = rf"^integrity: checkpoint\.pt .* its {count} characters are not the {count} of corpus f{{12}};"
    with pytest.raises(TrialFailedError, match=sentence):
        sit(begun, others, tmp_path)


def test_so_does_one_from_another_corpus_of_the_same_characters(
    begun: TrialConfig, tiny_corpus: CorpusView, tmp_path: Path
) -> None:
    with pytest.raises(TrialFailedError, match=f"from corpus {tiny_corpus.fingerprint[:12]}, and this trial's is eeeeeeeeeeee"):
        sit(begun, changed(tiny_corpus, fingerprint="e" * 64), tmp_path)


@pytest.mark.parametrize("asked", [{"seed": 8}, {"model.base_channels": 8}, {"loss.label_smoothing": 0.3}])
def test_so_does_one_of_another_configuration(
    asked: dict[str, Any], begun: TrialConfig, make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path
) -> None:
    with pytest.raises(TrialFailedError, match="from a trial with another configuration"):
        sit(make_trial({"model": ENCODER, **asked}), tiny_corpus, tmp_path)


def test_smaller_parts_of_the_same_batches_are_the_same_training(
    begun: TrialConfig, make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path
) -> None:
    assert sit(make_trial({"model": ENCODER, "training.accumulate": 2}), tiny_corpus, tmp_path).batches == 15 - 4


def test_the_second_stage_knows_its_own_as_well(make_trial: MakeTrial, tiny_corpus: CorpusView, tmp_path: Path) -> None:
    config = make_trial({"model": ENCODER, "training.epochs": 1, "classifier": CRT})
    sit(config, tiny_corpus, tmp_path, stop_after=4)
    assert (tmp_path / "classifier.pt").exists()
    with pytest.raises(TrialFailedError, match=r"^integrity: classifier\.pt "):
        sit(config, changed(tiny_corpus, fingerprint="e" * 64), tmp_path)
