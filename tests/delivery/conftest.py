from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from onnx_edits import edit, unchanged

from ocr_sweep.config.model import UNetConfig
from ocr_sweep.export.onnx_file import export_onnx
from ocr_sweep.metrics import choose_acceptance
from ocr_sweep.models import build_model
from ocr_sweep.store import CorpusView

SMALL = UNetConfig(kind="unet", base_channels=8, depth=2, dropout=0.0, decoder=False, reconstruction_weight=0.0)


@pytest.fixture(scope="session")
def trained_file(tiny_corpus: CorpusView, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished file of a network that has learnt the tiny corpus; nobody may change it."""
    path = tmp_path_factory.mktemp("delivered") / "model.onnx"
    torch.manual_seed(0)
    torch.set_num_threads(1)
    network = build_model(SMALL, tiny_corpus.num_classes, 16)
    train = tiny_corpus.indices("train")
    images = torch.from_numpy(np.array(tiny_corpus.images[train]))[:, None] / 255
    labels = torch.from_numpy(tiny_corpus.class_ids[train])
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.01)
    for _ in range(60):
        optimiser.zero_grad()
        torch.nn.functional.cross_entropy(network(images).logits, labels).backward()
        optimiser.step()
    export_onnx(network, path, chars=tiny_corpus.chars, image_size=16)
    threshold = choose_acceptance(np.linspace(0.5, 1, 50), np.ones(50, bool)).as_dict()
    edit(path, unchanged, metadata=lambda facts: facts.update(temperature=1.0, threshold=threshold, card="# tiny"))
    return path


@pytest.fixture
def file(trained_file: Path, tmp_path: Path) -> Path:
    """A copy of it, to change at will."""
    return Path(shutil.copy(trained_file, tmp_path / "model.onnx"))


@pytest.fixture(scope="session")
def picture(tiny_corpus: CorpusView) -> Callable[..., NDArray[np.uint8]]:
    """A glyph of the tiny corpus as dark strokes on bright paper, in any size."""

    def draw(class_id: int, times: int = 4, margin: int = 6) -> NDArray[np.uint8]:
        train = tiny_corpus.indices("train")
        square = tiny_corpus.images[train[tiny_corpus.class_ids[train] == class_id][0]]
        ink = np.pad(np.kron(square, np.ones((times, times), np.uint8)), margin)
        levels: NDArray[np.uint8] = 235 - (ink * 0.8).astype(np.uint8)
        return levels

    return draw
