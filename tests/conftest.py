"""A world in which a trial takes a second: eight shapes of 16 pixels, and the smallest network that tells them apart."""

from __future__ import annotations

import copy
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from store_files import save_store

from ocr_sweep.config.dotted import put
from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.config.loss import LossConfig
from ocr_sweep.config.optim import OptimConfig
from ocr_sweep.config.training import TrainingConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.store import CorpusView, Source

TINY_CHARS = "一二三十口日田木"
_SIDE = 16
_STROKES = {  # (top, left, bottom, right)
    "一": [(7, 2, 9, 14)],
    "二": [(4, 3, 6, 13), (10, 2, 12, 14)],
    "三": [(2, 3, 4, 13), (7, 4, 9, 12), (12, 2, 14, 14)],
    "十": [(7, 2, 9, 14), (2, 7, 14, 9)],
    "口": [(3, 3, 5, 13), (11, 3, 13, 13), (3, 3, 13, 5), (3, 11, 13, 13)],
    "日": [(2, 4, 4, 12), (7, 4, 9, 12), (12, 4, 14, 12), (2, 4, 14, 6), (2, 10, 14, 12)],
    "田": [(2, 2, 4, 14), (12, 2, 14, 14), (2, 2, 14, 4), (2, 12, 14, 14), (7, 2, 9, 14), (2, 7, 14, 9)],
    "木": [(5, 2, 7, 14), (2, 7, 14, 9), (9, 4, 11, 6), (9, 10, 11, 12)],
}
_IMAGES = [  # set, source, images of each class; the last two classes have no scanned training image
    ("train", Source.RENDERED, 6),
    ("train", Source.SCANNED, 6),
    ("val/book", Source.SCANNED, 4),
    ("val/simulated", Source.SIMULATED, 2),
    ("test/book", Source.SCANNED, 4),
]
_TRIAL: dict[str, Any] = {
    "corpus": {
        "name": "tiny",
        "seed": 0,
        "image_size": _SIDE,
        "charset": {"chars": TINY_CHARS},
        "rendered": {"fonts": ["system"], "max_faces": 1},
        "scanned": [
            {"name": "book", "path": "book", "split": {"train": 0.5, "val": 0.25, "test": 0.25}, "group": None, "max_bad": 0.0}
        ],
        "scanned_per_class": 50,
        "simulated": [{"name": "simulated", "val_per_class": 2, "test_per_class": 0, "wear": 0.5}],
    },
    "seed": 3,
    "image_size": _SIDE,
    "model": {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.1, "decoder": True, "reconstruction_weight": 1.0},
    "augment": {"rendered": {"strength": 0.2}, "scanned": {"strength": 0.0}},
    "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
    "optim": {
        "lr": 0.01,
        "weight_decay": 0.02,
        "warmup": 0.1,
        "clip_norm": 5.0,
        "handover_at": 0.6,
        "handover_patience": 0,
        "handover_rate": "matched",
        "handover_kappa": 3.0,
        "sgd_momentum": 0.9,
    },
    "training": {"epochs": 5, "batch_size": 16, "images_per_epoch": 48, "sampling": "instance", "threads": 1},
}


def pytest_configure() -> None:
    """Let programs that tests start hear Ctrl-C: those of a shell's background job ignore it, and so would theirs."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Leave out what wants several devices where the only one is a GPU."""
    if item.get_closest_marker("devices"):
        import torch  # two seconds, which most tests need not wait for

        if torch.cuda.device_count() == 1:
            pytest.skip("one GPU is not several devices")


@pytest.fixture(scope="session")
def real_data() -> Path:
    root = Path(os.environ.get("OCR_SWEEP_DATA") or Path(__file__).parents[2] / "shared" / "data")
    if not (root / "casia_hwdb96").is_dir():
        pytest.skip(f"no character images at {root}; set OCR_SWEEP_DATA")
    return root


@pytest.fixture
def trial_data() -> dict[str, Any]:
    """A complete trial on the tiny corpus, as plain data that a test may change."""
    return copy.deepcopy(_TRIAL)


@pytest.fixture
def make_trial(trial_data: dict[str, Any]) -> Callable[..., TrialConfig]:
    """The tiny trial with values put in: make_trial({"optim.lr": 0.1})."""

    def make(changes: dict[str, Any] | None = None) -> TrialConfig:
        data = copy.deepcopy(trial_data)
        data["optim"] = OptimConfig.model_validate(data["optim"]).model_dump()
        data["training"] = TrainingConfig.model_validate(data["training"]).model_dump()
        data["augment"].setdefault("generated", None)
        for name, value in LossConfig(kind="cross_entropy", label_smoothing=0.0):
            data["loss"].setdefault(name, value)
        data.setdefault("classifier", None)
        data.setdefault("calibration", None)
        for path, value in (changes or {}).items():
            put(data, path, value)
        return TrialConfig.model_validate(data)

    return make


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny corpus on disk: 8 classes, 84 training, 48 validation and 32 test images, as `CorpusView` reads them."""
    folder = tmp_path_factory.mktemp("corpus") / "tiny"
    folder.mkdir()
    rng = np.random.default_rng(0)
    sets = list(dict.fromkeys(name for name, _, _ in _IMAGES))
    images, rows = [], []
    for name, source, count in _IMAGES:
        for class_id, char in enumerate(TINY_CHARS):
            if name == "train" and source is Source.SCANNED and class_id >= 6:
                continue
            for _ in range(count):
                images.append(_drawn(char, source, rng))
                rows.append((class_id, int(source), sets.index(name), len(rows)))
    recipe = TrialConfig.model_validate(_TRIAL).corpus.model_dump(mode="json")
    save_store(folder, np.stack(images), rows, sets=sets, recipe=recipe, name=fingerprint(recipe))
    return folder


@pytest.fixture(scope="session")
def tiny_corpus(tiny_store: Path) -> CorpusView:
    """A read-only view on the tiny corpus."""
    return CorpusView.open(tiny_store)


def _drawn(char: str, source: Source, rng: np.random.Generator) -> NDArray[np.uint8]:
    image = np.zeros((_SIDE, _SIDE), np.float64)
    for top, left, bottom, right in _STROKES[char]:
        image[top:bottom, left:right] = 255
    image = np.roll(image, tuple(rng.integers(-1, 2, 2)), axis=(0, 1))
    if source is not Source.RENDERED:
        image = image * rng.uniform(0.6, 1.0) + rng.normal(0, 12, image.shape)
    return np.clip(image, 0, 255).astype(np.uint8)
