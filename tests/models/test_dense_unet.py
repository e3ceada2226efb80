from __future__ import annotations

import pytest
import torch
from torch import nn

from ocr_sweep.config.model import DenseUNetConfig
from ocr_sweep.errors import ConfigError
from ocr_sweep.models import build_model
from ocr_sweep.models.decoder import kept_skips
from ocr_sweep.models.dense_unet import DenseUNet
from ocr_sweep.models.timm_import import timm


def config(**changes: object) -> DenseUNetConfig:
    values = {"kind": "dense_unet", "dropout": 0.0, "decoder": True, "reconstruction_weight": 1.0}
    return DenseUNetConfig.model_validate({**values, **changes})


def test_the_default_encoder_is_densenet_121() -> None:
    ours = build_model(config(channels=3, decoder=False), 5, 64)
    theirs = timm.create_model("densenet121", num_classes=0)
    layers = [module for module in theirs.modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    mine = [module for name, module in ours.named_modules() if isinstance(module, nn.Conv2d | nn.BatchNorm2d)]
    assert sum(p.numel() for p in theirs.parameters()) == 6_953_856 == sum(p.numel() for m in mine for p in m.parameters())
    in_order = [*_in_order(ours)]
    for layer, module in zip(layers, in_order, strict=True):
        module.load_state_dict(layer.state_dict())
    images = torch.rand(2, 1, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(ours.eval().features(images), theirs.eval()(images.expand(-1, 3, -1, -1)))


def _in_order(network: nn.Module) -> list[nn.Module]:
    """Our layers in the order in which an image meets them: a transition stands after its block."""
    assert isinstance(network, DenseUNet)
    parts = [network.stem]
    for number, block in enumerate(network.blocks):
        parts += [block, network.transitions[number]] if number < len(network.transitions) else [block]
    return [m for part in [*parts, network.last] for m in part.modules() if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]


@pytest.mark.parametrize(
    ("stride", "blocks", "multiple", "nearest"), [(4, [6, 12, 24, 16], 32, 64), (2, [2, 2, 2], 8, 48), (1, [3, 3], 2, 48)]
)
def test_the_image_must_halve_often_enough(stride: int, blocks: list[int], multiple: int, nearest: int) -> None:
    sentence = f"image_size must be a multiple of {multiple} for this model, but got {3 * 16 + 1}; write {nearest}"
    with pytest.raises(ConfigError, match=f"^{sentence}$"):
        build_model(config(stem_stride=stride, blocks=blocks), 5, 49)


def test_restoring_its_own_input_it_may_not_copy_the_finest_maps() -> None:
    assert kept_skips(config(), [0, 8, 12, 16]) == [0, 8, 12, 16]
    assert kept_skips(config(reconstruction_target="input"), [0, 8, 12, 16]) == [0, 0, 0, 16]


def test_a_finest_map_that_is_left_out_does_not_reach_the_restored_image() -> None:
    model = build_model(config(growth=4, blocks=[2, 2, 2], stem_stride=1, reconstruction_target="input"), 5, 16)
    assert isinstance(model, DenseUNet) and model.decoder is not None
    maps, bottleneck = model.encode(torch.rand(2, 1, 16, 16))
    leaves = [level.detach().requires_grad_() for level in maps if level is not None]
    bottleneck = bottleneck.detach().requires_grad_()
    model.decoder(leaves, bottleneck).sum().backward()
    assert [level.grad is None for level in leaves] == [True, True] and bottleneck.grad is not None


def test_without_a_weight_no_decoder_is_built() -> None:
    torch.manual_seed(0)
    unweighted = build_model(config(growth=4, blocks=[2, 2], reconstruction_weight=0.0), 5, 16)
    torch.manual_seed(0)
    bare = build_model(config(growth=4, blocks=[2, 2], decoder=False), 5, 16)
    torch.manual_seed(0)
    whole = build_model(config(growth=4, blocks=[2, 2]), 5, 16)
    images = torch.rand(2, 1, 16, 16)
    assert unweighted(images).restored is None and whole(images).restored is not None
    bare(images)
    for other in (unweighted, whole):
        assert torch.equal(other.eval()(images).logits, bare.eval()(images).logits)
    assert unweighted.state_dict().keys() == bare.state_dict().keys() < whole.state_dict().keys()
