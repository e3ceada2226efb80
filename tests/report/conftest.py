from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from store_files import save_store

from ocr_sweep.export.predictions import Predictions
from ocr_sweep.report import ComparedRun
from ocr_sweep.store import CorpusView, Source

CHARS = "日曰未末土士己已人入八力刀千干王玉大太犬"
VAL, TEST = 10, 5  # images of each class
MakeRun = Callable[..., ComparedRun]


@pytest.fixture
def view(tmp_path: Path) -> CorpusView:
    """Twenty classes, of which the last has no training image; five each are unseen, few, medium and many."""
    rows = [(k, Source.RENDERED, 0, k) for k in range(19)]
    rows += [(k, Source.SCANNED, 0, k) for k in range(20) for _ in range((0, 5, 30, 101)[k % 4])]
    rows = [row for row in rows if row[0] != 19]
    rows += [(k, Source.SCANNED, 1, k) for k in range(20) for _ in range(VAL)]
    rows += [(k, Source.SCANNED, set_id, k) for set_id in (2, 3) for k in range(20) for _ in range(TEST)]
    images = np.random.default_rng(0).integers(0, 256, size=(len(rows), 16, 16), dtype=np.uint8)
    sets = ["train", "val/book", "test/book", "test/hre"]
    save_store(tmp_path, images, rows, sets=sets, recipe={"charset": {"chars": CHARS}}, name="0123456789abcdef")
    return CorpusView.open(tmp_path)


@pytest.fixture
def simulated(view: CorpusView) -> CorpusView:
    """The same with simulated scans in val and test."""
    return replace(view, manifest={**view.manifest, "sets": ["train", "val/simulated", "test/simulated", "test/simulated2"]})


@pytest.fixture
def make_run(view: CorpusView) -> MakeRun:
    """A run that reads a share of val and of test wrong: the first images of every class, as the next class."""

    def make(
        arm: str, val_wrong: float, test_wrong: float = 0.2, *, seed: int = 0, role: str = "trial", trial: int | None = None
    ) -> ComparedRun:
        index = np.concatenate([view.indices("val"), view.indices("test")])
        label = view.class_ids[index]
        set_id = view.rows["set_id"][index].astype(np.int64)
        within = np.concatenate([np.arange(200) % VAL / VAL, np.arange(200) % TEST / TEST])
        wrong = within < np.where(set_id == 1, val_wrong, test_wrong) - 1e-9
        top5 = (np.where(wrong, label + 1, label)[:, None] + np.arange(5)) % 20
        order = np.random.default_rng(seed).permutation(len(index))  # runs need not keep one order
        predictions = Predictions(index[order], set_id[order], label[order], top5[order], np.full((len(index), 5), 0.2))
        metrics = {"val/accuracy_macro": 1.0 - val_wrong, "cost/parameters": 1e6 * len(arm), "selected/epoch": 1.0}
        curves = {"val/accuracy_macro": [(0, 0.1), (1, 1.0 - val_wrong)]}
        config = {"model.name": arm, "seed": seed, "training.epochs": 2}
        number = trial if trial is not None else 0 if role == "confirm" else seed
        names = f"id-{arm}-{seed}", f"{arm}-{seed}", arm, role
        return ComparedRun(*names, config, metrics, curves, predictions, None, trial=number)

    return make
