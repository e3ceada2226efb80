"""A small valid study in three files, and a way to write it down with one thing changed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from ocr_sweep.config.load import load_study
from ocr_sweep.config.study import StudyConfig

STUDY = """\
name: tiny_aug
question: Does it help?
base: bases/unet.yaml
metric: val/accuracy_macro
direction: maximize
trials: 4
confirm: {top: 1, seeds: 2}
sampler: {kind: tpe, seed: 17}
pruner: {kind: none}
search:
  augment.rendered.strength: {type: float, low: 0.0, high: 1.0}
  optim.lr: {type: float, low: 1e-4, high: 1e-1, log: true}
  training.batch_size: {type: int, low: 8, high: 64}
  loss.kind: {type: categorical, choices: [cross_entropy, bce]}
  model: {type: categorical, choices: [bases/models/unet.yaml, bases/models/resnet.yaml]}
  model.decoder:
    type: categorical
    choices: [true, false]
    when: {model: unet}
"""
BASE = """\
corpus: corpora/tiny.yaml
seed: 17
image_size: 16
model: bases/models/unet.yaml
augment:
  rendered: {strength: 0.2}
  scanned: {strength: 0.1}
loss:
  kind: cross_entropy
  label_smoothing: 0.1
optim:
  lr: 3e-3
  weight_decay: 0.02
  warmup: 0.1
  clip_norm: 5.0
  handover_at: 0.8
  handover_patience: 0
  handover_rate: matched
  handover_kappa: 10.0
  sgd_momentum: 0.9
training:
  epochs: 4
  batch_size: 32
  images_per_epoch: null
  sampling: instance
  threads: 1
"""
CORPUS = """\
name: tiny
seed: 0
image_size: 16
charset: {file: chars.txt, first: 4}
rendered: {fonts: [system], max_faces: 1}
scanned:
  - name: book
    path: book
    group: null
    split: {train: 0.5, val: 0.25, test: 0.25}
    max_bad: 0.0
scanned_per_class: 50
simulated:
  - {name: simulated, val_per_class: 2, test_per_class: 2, wear: 0.5}
"""
UNET = "kind: unet\nbase_channels: 4\ndepth: 2\ndropout: 0.1\ndecoder: true\nreconstruction_weight: 1.0\n"
FILES = {
    "tiny_aug.yaml": STUDY,
    "bases/unet.yaml": BASE,
    "bases/models/unet.yaml": UNET,
    "bases/models/resnet.yaml": "kind: timm\nname: test_resnet\ndropout: 0.0\n",
    "corpora/tiny.yaml": CORPUS,
    "corpora/chars.txt": "# the first line\n一二三 十\n口日\n",
}


@pytest.fixture
def sweeps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a valid study; messages name files from here."""
    for name, content in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def edit(sweeps: Path) -> Callable[..., None]:
    """Replace a part of a file: edit("trials: 4", "trials: 0"); the part must be there."""

    def edit(old: str, new: str, file: str = "tiny_aug.yaml") -> None:
        text = (sweeps / file).read_text(encoding="utf-8")
        assert old in text
        (sweeps / file).write_text(text.replace(old, new, 1), encoding="utf-8")

    return edit


@pytest.fixture
def load(sweeps: Path) -> Callable[[], StudyConfig]:
    return lambda: load_study(sweeps / "tiny_aug.yaml", sweeps)
