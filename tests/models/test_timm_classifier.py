from __future__ import annotations

from typing import Literal

import pytest
import torch
from torch import nn

from ocr_sweep.config.model import TimmConfig
from ocr_sweep.errors import ConfigError
from ocr_sweep.models import build_model, check_model


def config(name: str, dropout: float = 0.0) -> TimmConfig:
    return TimmConfig(kind="timm", name=name, dropout=dropout)


@pytest.mark.parametrize(
    ("name", "size"), [("test_resnet", 16), ("test_resnet", 33), ("test_efficientnet", 32), ("test_vit", 48)]
)
def test_a_timm_network_reads_one_channel_of_any_size(name: str, size: int) -> None:
    model = build_model(config(name), 7, size)
    output = model(torch.rand(2, 1, size, size))
    assert output.logits.shape == (2, 7) and output.restored is None


@pytest.mark.parametrize("size", [32, 64])
def test_efficientformerv2_is_sized_for_its_image_and_has_one_head(size: int) -> None:
    model = build_model(config("efficientformerv2_s0"), 7, size)
    heads = [module for module in model.modules() if isinstance(module, nn.Linear) and module.out_features == 7]
    assert len(heads) == 1
    biases = [p for name, p in model.named_parameters() if "attention_bias" in name]
    assert max(p.shape[-1] for p in biases) <= (size // 16) ** 2  # 196 for the 224 pixels that timm supposes
    for training in (True, False):
        assert model.train(training)(torch.rand(2, 1, size, size)).logits.shape == (2, 7)


def test_dropout_reaches_timm() -> None:
    torch.manual_seed(0)
    model = build_model(config("test_resnet", dropout=0.9), 7, 16)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eval()  # dropout alone is left to chance
    images = torch.rand(2, 1, 16, 16)
    assert not torch.equal(model(images).logits, model(images).logits)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet81", r"model\.name must be one of timm's models, but got 'resnet81'; did you mean resnet\d+"),
        ("resnet18.a1_in1k", r"did you mean resnet18"),
        ("resnet18.nonsense", r"did you mean resnet18"),
        ("hf-hub:somebody/something", r"one of timm's models, but got 'hf-hub:somebody/something'"),
        ("../../etc/passwd", r"see timm.list_models\(\) for the known ones"),
        ("草書", r"see timm.list_models\(\) for the known ones"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest_ones(name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        check_model(config(name), 32)


@pytest.mark.parametrize(
    ("name", "size", "channels", "num_classes", "millions"),  # 3 channels and 1,000 classes are what timm counts
    [
        ("resnet152", 224, 3, 1000, 60.2),
        ("resnet152", 64, 1, 17_380, 93.7),
        ("densenet121", 224, 3, 1000, 8.0),
        ("densenet121", 64, 1, 17_380, 24.8),
        ("tf_efficientnetv2_m", 224, 3, 1000, 54.1),
        ("tf_efficientnetv2_m", 64, 1, 17_380, 75.1),
        ("efficientformerv2_s2", 224, 3, 1000, 12.42),
        ("efficientformerv2_s2", 64, 1, 17_380, 17.15),
    ],
)
def test_the_networks_of_the_report_have_one_head(
    name: str, size: int, channels: Literal[1, 3], num_classes: int, millions: float
) -> None:
    with torch.device("meta"):
        model = build_model(TimmConfig(kind="timm", name=name, channels=channels, dropout=0.0), num_classes, size)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(millions, abs=0.06)
    heads = [m for m in model.modules() if isinstance(m, nn.Linear) and m.out_features == num_classes]
    assert heads == [model.head] and heads[0].in_features == model.num_features


def test_a_size_that_a_network_cannot_take_is_refused_before_it_is_built() -> None:
    with pytest.raises(ConfigError, match=r"^timm's test_vit cannot read images of 20 pixels: Input height \(20\) should be div"):
        check_model(config("test_vit"), 20)
    for name in ("test_vit", "efficientformerv2_s2", "tf_efficientnetv2_m"):
        check_model(config(name), 64)


def test_a_size_that_a_network_cannot_take_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^image_size must be a multiple of 32 for this model, but got 48; write 64$"):
        check_model(config("efficientformerv2_s0"), 48)
    with pytest.raises(ConfigError, match=r"^timm's test_vit cannot read images of 20 pixels: Input height \(20\) should be div"):
        build_model(config("test_vit"), 7, 20)
    with pytest.raises(ConfigError, match=r"^timm's twins_svt_small cannot read images of 20 pixels: img_size"):
        build_model(config("twins_svt_small"), 7, 20)


def test_a_new_network_is_in_training_mode_and_has_seen_nothing() -> None:
    model = build_model(config("test_resnet"), 7, 16)
    assert all(module.training for module in model.modules())
    assert not any(
        tensor.any() for name, tensor in model.state_dict().items() if name.endswith(("running_mean", "batches_tracked"))
    )
