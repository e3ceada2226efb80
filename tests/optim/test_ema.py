from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from ocr_sweep.optim import Ema, ema_decay


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(8, 3)).double()


def test_the_average_equals_its_formula_batch_norm_included() -> None:
    model = network()
    ema = Ema(model, 0.3)
    expected = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for step in range(8):
        model(torch.randn(4, 1, 4, 4, dtype=torch.float64))  # moves batch norm's statistics
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        ema.update(step)
        decay = min(0.3, (1 + step) / (10 + step))
        for name, tensor in model.state_dict().items():
            mixed = decay * expected[name] + (1 - decay) * tensor
            expected[name] = mixed if tensor.is_floating_point() else tensor.clone()
    for name, tensor in ema.state_dict().items():
        torch.testing.assert_close(tensor, expected[name], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(ema.state_dict()["3.weight"], model.state_dict()["3.weight"])
    assert int(ema.state_dict()["1.num_batches_tracked"]) == 8


def test_the_decay_is_warmed_up() -> None:
    assert [ema_decay(0.999, step) for step in (0, 8, 90, 10**6)] == pytest.approx([0.1, 0.5, 0.91, 0.999])


def test_the_averaged_network_is_its_own_and_takes_no_gradient() -> None:
    model = network()
    ema = Ema(model, 0.9)
    before = copy.deepcopy(ema.state_dict())
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in ema.state_dict().items())
    assert not any(parameter.requires_grad for parameter in ema.model.parameters()) and not ema.model.training


def test_an_average_goes_on_where_it_was_put_away() -> None:
    model, other = network(), network()
    whole, first = Ema(model, 0.5), Ema(other, 0.5)
    generator = torch.Generator().manual_seed(1)
    for step in range(6):
        if step == 3:
            second = Ema(other, 0.5)
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            first = second
        for mine, theirs in zip(model.parameters(), other.parameters(), strict=True):
            moved = torch.randn(mine.shape, dtype=torch.float64, generator=generator)
            mine.data.add_(moved)
            theirs.data.add_(moved)
        whole.update(step)
        first.update(step)
    assert all(torch.equal(tensor, whole.state_dict()[name]) for name, tensor in first.state_dict().items())
