from __future__ import annotations

import pytest
import torch

from ocr_sweep.config.model import UNetConfig
from ocr_sweep.errors import ConfigError
from ocr_sweep.models import build_model
from ocr_sweep.models.unet import UNet


def config(**changes: object) -> UNetConfig:
    values = {"kind": "unet", "base_channels": 4, "depth": 2, "dropout": 0.0, "decoder": True, "reconstruction_weight": 1.0}
    return UNetConfig.model_validate({**values, **changes})


def images(count: int, size: int) -> torch.Tensor:
    return torch.rand(count, 1, size, size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(("depth", "size"), [(2, 16), (2, 20), (3, 48), (4, 32)])
@pytest.mark.parametrize("num_classes", [2, 11])
def test_shapes(depth: int, size: int, num_classes: int) -> None:
    model = build_model(config(depth=depth), num_classes, size)
    output = model(images(3, size))
    assert output.logits.shape == (3, num_classes)
    assert output.restored is not None and output.restored.shape == (3, 1, size, size)
    output = model.eval()(images(1, size))
    assert output.logits.shape == (1, num_classes) and output.restored is None


def test_the_decoder_does_not_change_what_is_read() -> None:
    whole, bare = build_model(config(), 5, 16), build_model(config(decoder=False), 5, 16)
    shared = bare.state_dict().keys()
    assert {name.split(".")[0] for name in whole.state_dict().keys() - shared} == {"decoder"}
    bare.load_state_dict({name: tensor for name, tensor in whole.state_dict().items() if name in shared})
    for training in (True, False):
        whole.train(training), bare.train(training)
        assert torch.equal(whole(images(4, 16)).logits, bare(images(4, 16)).logits)
    assert bare.train()(images(4, 16)).restored is None


def test_restoring_shapes_the_encoder_and_not_the_head() -> None:
    model = build_model(config(), 5, 16)
    model(images(4, 16)).restored.square().mean().backward()
    gradients = {name: p.grad for name, p in model.named_parameters()}
    for name, gradient in gradients.items():
        if name.startswith("head"):
            assert gradient is None
        else:
            assert gradient is not None and gradient.abs().sum() > 0, name


def test_reading_does_not_touch_the_decoder() -> None:
    model = build_model(config(), 5, 16)
    model(images(4, 16)).logits.sum().backward()
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.grad is None} == {"decoder"}


@pytest.mark.parametrize(("base", "depth", "num_classes"), [(4, 2, 8), (12, 4, 200), (8, 5, 3)])
def test_the_number_of_parameters(base: int, depth: int, num_classes: int) -> None:
    def block(inside: int, outside: int) -> int:
        return 9 * inside * outside + 9 * outside**2 + 2 * 2 * outside  # two kernels, two batch norms

    widths = [base * 2**level for level in range(depth + 1)]
    encoder = block(1, base) + sum(block(w, 2 * w) for w in widths[:-1]) + (widths[-1] + 1) * num_classes
    decoder = sum(4 * 2 * w * w + w + block(2 * w, w) for w in widths[:-1]) + base + 1

    def count(decoding: bool) -> int:
        model = build_model(config(base_channels=base, depth=depth, decoder=decoding), num_classes, 2**depth)
        return sum(p.numel() for p in model.parameters())

    assert count(False) == encoder
    assert count(True) == encoder + decoder


def test_dropout_stands_before_the_head() -> None:
    model = build_model(config(dropout=0.9, decoder=False), 5, 16)
    assert isinstance(model, UNet) and model.dropout.p == 0.9
    assert not torch.equal(model(images(4, 16)).logits, model(images(4, 16)).logits)
    model.eval()
    assert torch.equal(model(images(4, 16)).logits, model(images(4, 16)).logits)


def test_the_seed_makes_the_weights() -> None:
    torch.manual_seed(1)
    first = build_model(config(), 5, 16).state_dict()
    torch.manual_seed(1)
    second = build_model(config(), 5, 16).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_an_image_that_does_not_halve_often_enough_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^image_size must be a multiple of 16 for this model, but got 40; write 32$"):
        build_model(config(depth=4), 5, 40)
