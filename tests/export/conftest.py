from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from ocr_sweep.config.model import TimmConfig, UNetConfig
from ocr_sweep.export.onnx_file import export_onnx
from ocr_sweep.models import build_model
from ocr_sweep.store import CorpusView

UNET = UNetConfig(kind="unet", base_channels=4, depth=2, dropout=0.1, decoder=True, reconstruction_weight=1.0)
TIMM = TimmConfig(kind="timm", name="test_resnet", dropout=0.1)


@pytest.fixture(scope="session")
def images(tiny_corpus: CorpusView) -> NDArray[np.uint8]:
    return np.array(tiny_corpus.images[tiny_corpus.indices("val")])


@pytest.fixture(scope="session")
def networks(images: NDArray[np.uint8]) -> dict[str, nn.Module]:
    """Networks whose batch norm has seen images; `decoder` has one, `timm` never had."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    made: dict[str, nn.Module] = {
        "decoder": build_model(UNET, 8, 16),
        "timm": build_model(TIMM, 8, 16),
    }
    for network in made.values():
        for _ in range(10):
            network.train()(torch.from_numpy(images)[:, None] / 255)
        network.eval()
    return made


@pytest.fixture
def export(tmp_path: Path, tiny_corpus: CorpusView) -> Callable[..., Path]:
    """Write a network for the tiny corpus."""

    def export(network: nn.Module, name: str = "model.onnx") -> Path:
        export_onnx(network, tmp_path / name, chars=tiny_corpus.chars, image_size=16)
        return tmp_path / name

    return export
