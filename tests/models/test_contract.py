"""What every network promises, whatever its kind."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from pydantic import TypeAdapter
from torch import Tensor, nn
from torch.nn import functional

from ocr_sweep.config.model import ModelConfig
from ocr_sweep.export.onnx_file import export_onnx
from ocr_sweep.export.parity import certify
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.models import Network, build_model
from ocr_sweep.training.predict import square_logits

UNET = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.0, "decoder": True, "reconstruction_weight": 1.0}
DENSE = {"kind": "dense_unet", "growth": 4, "dropout": 0.0, "decoder": True, "reconstruction_weight": 1.0}
CAPSULE = {"kind": "capsule", "base_channels": 4, "depth": 2, "primary": 6, "latent": 12, "pose": 8, "dropout": 0.0}
DYNAMIC, ATTENTION = {"kind": "dynamic", "rounds": 3}, {"kind": "attention"}
MODELS: dict[str, dict[str, Any]] = {
    "unet": UNET,
    "unet_input": {**UNET, "reconstruction_target": "input"},
    "unet_cosine": {**UNET, "decoder": False, "head": {"kind": "cosine", "scale": 16.0}},
    "dense_unet": {**DENSE, "blocks": [2, 3], "stem_stride": 2},
    "dense_unet_fine": {**DENSE, "blocks": [2, 2, 2], "stem_stride": 1, "reconstruction_target": "input"},
    "dense_unet_coarse": {**DENSE, "blocks": [2, 2], "stem_stride": 4, "head": {"kind": "low_rank", "rank": 6}},
    "capsule_dynamic": {**CAPSULE, "routing": DYNAMIC},
    "capsule_attention": {**CAPSULE, "routing": ATTENTION},
    "capsule_dynamic_full": {**CAPSULE, "routing": DYNAMIC, "latent": None},
    "capsule_attention_full": {**CAPSULE, "routing": ATTENTION, "latent": None},
    "timm_resnet": {"kind": "timm", "name": "test_resnet", "dropout": 0.0},
    "timm_efficientnet": {"kind": "timm", "name": "test_efficientnet", "dropout": 0.0},
    "timm_vit": {"kind": "timm", "name": "test_vit", "dropout": 0.0},
}


def build(name: str, num_classes: int = 5, size: int = 16, channels: int = 1) -> Network:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    config: ModelConfig = TypeAdapter(ModelConfig).validate_python({**MODELS[name], "channels": channels})
    return build_model(config, num_classes, size)


def some_images(count: int, size: int = 16) -> Tensor:
    """Coarse patterns of black and white with a little noise, no two alike."""
    rng = np.random.default_rng(1)
    coarse = np.kron(rng.integers(0, 2, (count, 4, 4)), np.ones((size // 4, size // 4)))
    return torch.from_numpy(0.8 * coarse + 0.2 * rng.random(coarse.shape)).float().unsqueeze(1)


def learn(model: Network, steps: int) -> float:
    """Train on one batch; the loss of the last step's images."""
    images, labels = some_images(10), torch.arange(10) % 5
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
    for _ in range(steps):
        output = model(images)
        loss = classification = functional.cross_entropy(output.logits, labels)
        if output.restored is not None:
            loss = loss + functional.binary_cross_entropy_with_logits(output.restored, images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return float(classification.detach())


@pytest.mark.parametrize("name", MODELS)
class TestNetwork:
    """The contract."""

    @pytest.mark.parametrize(("size", "channels", "num_classes"), [(16, 1, 2), (32, 3, 11), (48, 1, 300)])
    def test_shapes(self, name: str, size: int, channels: int, num_classes: int) -> None:
        model = build(name, num_classes, size, channels)
        output = model(some_images(2, size))
        assert output.logits.shape == (2, num_classes) and output.logits.isfinite().all()
        restores = MODELS[name].get("decoder", False)
        assert (output.restored.shape == (2, 1, size, size)) if restores else output.restored is None  # type: ignore[union-attr]
        first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
        assert first.in_channels == channels
        output = model.eval()(some_images(1, size))
        assert output.logits.shape == (1, num_classes) and output.restored is None

    def test_every_parameter_learns(self, name: str) -> None:
        model = build(name)
        learn(model, 3)  # branches that begin at zero have opened
        for parameter_name, parameter in model.named_parameters():
            assert parameter.grad is not None and parameter.grad.abs().sum() > 0, parameter_name

    def test_one_batch_can_be_learnt(self, name: str) -> None:
        assert learn(build(name), 100) < 0.1

    def test_the_seed_decides(self, name: str) -> None:
        first, second = build(name), build(name)
        learn(first, 2)
        learn(second, 2)
        assert all(map(torch.equal, first.state_dict().values(), second.state_dict().values()))

    def test_features_and_head_are_the_network(self, name: str) -> None:
        model = build(name).eval()
        features = model.features(some_images(3))
        assert features.shape == (3, model.num_features)
        assert torch.equal(model.classify(features), model(some_images(3)).logits)
        model.offset += torch.arange(5.0)
        torch.testing.assert_close(model.classify(features) - model.head(features), torch.arange(5.0).expand(3, 5))

    def test_another_head_keeps_the_features(self, name: str) -> None:
        model = build(name).eval()
        before = model.features(some_images(3))
        model.head, model.offset = model.new_head(7), torch.zeros(7)
        assert type(model.head) is type(build(name).head)
        assert model(some_images(3)).logits.shape == (3, 7)
        model.head = nn.Linear(model.num_features, 7)
        assert model(some_images(3)).logits.shape == (3, 7)
        assert torch.equal(model.features(some_images(3)), before)

    def test_the_onnx_file_says_the_same(self, name: str, tmp_path: Path) -> None:
        model = build(name)
        learn(model, 20)
        with torch.no_grad():
            for _ in range(20):
                model(some_images(40))  # batch norm has seen data
        images = (some_images(40).squeeze(1) * 255).to(torch.uint8)
        with torch.no_grad():
            reference = model.eval()(images.unsqueeze(1).float() / 255).logits.numpy()
        export_onnx(model, tmp_path / "model.onnx", chars="一二三十口", image_size=16)
        assert "ConvTranspose" not in {node.op_type for node in onnx.load(tmp_path / "model.onnx").graph.node}  # no decoder
        scorer = Scorer(tmp_path / "model.onnx", threads=1)
        squares = images.numpy()
        answered = [(squares, scorer.logits(squares))]
        parity = certify(scorer, partial(square_logits, model), answered, squares, "一二三十口")
        assert parity.flips == 0 and parity.max_difference <= 1e-4 and parity.batch_sizes[:3] == (1, 2, 7)
        assert (scorer.logits(images.numpy()).argmax(1) == reference.argmax(1)).all()
        assert len(np.unique(reference.argmax(1))) > 1  # an answer that is always the same could not flip
