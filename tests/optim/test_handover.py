"""The handover: SGD must walk as far as AdamW did, whatever the scale of the loss."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from ocr_sweep.optim import StepRecorder, adamw, matched_rate, matched_weight_decay, sgd

MU = 0.9


@pytest.fixture
def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3, bias=False), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(3 * 36, 4)).double()


def loss_of(model: nn.Module, step: int) -> Tensor:
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(5, 1, 8, 8, dtype=torch.float64, generator=generator)
    return nn.functional.cross_entropy(model(images), torch.randint(4, (5,), generator=generator))


def vector(model: nn.Module) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()]).clone()


def train(model: nn.Module, num_steps: int, scale: float = 1.0, decay: float = 0.1) -> tuple[StepRecorder, list[float]]:
    """Walk under AdamW; returns the recorder and the ratios by their definition."""
    optimizer, recorder, naive = adamw(model, lr=0.01, weight_decay=decay), StepRecorder(model), []
    for group in optimizer.param_groups:
        group["eps"] = 0.0
    for step in range(num_steps):
        optimizer.zero_grad()
        (scale * loss_of(model, step)).backward()
        recorder.before(optimizer)
        old = {name: p.detach().clone() for name, p in model.named_parameters()}
        optimizer.step()
        recorder.after()
        walked = 0.0
        for name, p in model.named_parameters():
            decayed = old[name] * (1 - 0.01 * decay) if p.ndim > 1 else old[name]
            walked += float((p.detach() - decayed).square().sum())
        size = sum(float(p.grad.square().sum()) for p in model.parameters() if p.grad is not None)
        naive.append((walked / size) ** 0.5 / 0.01)
    return recorder, naive


def test_the_recorder_equals_the_definition_and_leaves_decay_out(model: nn.Module) -> None:
    recorder, naive = train(model, 12, decay=0.5)
    assert list(recorder.ratios) == pytest.approx(naive, rel=1e-9)
    assert recorder.median_ratio() == pytest.approx(sorted(naive)[5], rel=1e-9)


def test_the_recorder_changes_nothing(model: nn.Module) -> None:
    twin = copy.deepcopy(model)
    train(model, 4)
    optimizer = adamw(twin, lr=0.01, weight_decay=0.1)
    for group in optimizer.param_groups:
        group["eps"] = 0.0
    for step in range(4):
        optimizer.zero_grad()
        loss_of(twin, step).backward()
        optimizer.step()
    assert torch.equal(vector(model), vector(twin))


def test_the_recorder_looks_back_on_200_steps_and_skips_a_gradient_of_zero() -> None:
    model = nn.Linear(1, 1)
    optimizer, recorder = adamw(model, lr=0.1, weight_decay=0.0), StepRecorder(model)
    assert recorder.median_ratio() == 0.0
    for step in range(205):
        model.weight.grad = torch.full((1, 1), 0.0 if step == 0 else 1.0)
        recorder.before(optimizer)
        optimizer.step()
        recorder.after()
    assert len(recorder.ratios) == 200
    assert torch.isfinite(torch.tensor(list(recorder.ratios))).all()


def test_a_rate_that_declines_within_the_window_does_not_lengthen_the_step() -> None:
    """The matched rate belongs to the step that AdamW takes now, a hundredth of its first one."""
    model = nn.Linear(8, 1, bias=False).double()
    optimizer, recorder = adamw(model, lr=1.0, weight_decay=0.0), StepRecorder(model)
    for step in range(100):
        optimizer.param_groups[0]["lr"] = 10.0 ** (-step / 50)
        model.weight.grad = torch.ones_like(model.weight)
        recorder.before(optimizer)
        optimizer.step()
        recorder.after()
    assert recorder.median_ratio() == pytest.approx(1.0)
    assert matched_rate(recorder.median_ratio(), adamw_lr=0.01, kappa=10.0, momentum=MU) == pytest.approx(0.01)


def test_scaling_the_loss_scales_the_matched_rate_back(model: nn.Module) -> None:
    """AdamW does not see the scale, so SGD must not either: rate times gradient stays what it was."""
    twin = copy.deepcopy(model)
    plain, _ = train(model, 10)
    loud, _ = train(twin, 10, scale=1000.0)
    torch.testing.assert_close(vector(twin), vector(model), rtol=1e-9, atol=1e-12)
    assert loud.median_ratio() == pytest.approx(plain.median_ratio() / 1000, rel=1e-6)
    ends = []
    for network, recorder, scale in ((model, plain, 1.0), (twin, loud, 1000.0)):
        rate = matched_rate(recorder.median_ratio(), adamw_lr=0.01, kappa=3.0, momentum=MU)
        decay = matched_weight_decay(adamw_lr=0.01, adamw_decay=0.1, sgd_lr=rate, momentum=MU)
        ends.append(_walk(network, rate, decay, scale))
    torch.testing.assert_close(ends[0], ends[1], rtol=1e-6, atol=1e-9)


def test_an_inherited_rate_depends_on_the_scale_of_the_loss(model: nn.Module) -> None:
    twin = copy.deepcopy(model)
    assert not torch.allclose(_walk(model, 0.01, 0.0, 1.0), _walk(twin, 0.01, 0.0, 1000.0), rtol=0.1)


def _walk(model: nn.Module, rate: float, decay: float, scale: float) -> Tensor:
    optimizer = sgd(model, lr=rate, weight_decay=decay, momentum=MU)
    for step in range(5):
        optimizer.zero_grad()
        (scale * loss_of(model, step)).backward()
        optimizer.step()
    return vector(model)


@pytest.mark.parametrize("curvature", [1e-3, 1.0, 1e3])
def test_on_a_quadratic_a_settled_sgd_step_is_kappa_adamw_steps_long(curvature: float) -> None:
    """Under a constant gradient g, AdamW walks lr a step and SGD's momentum settles at rate * g / (1 - mu)."""
    lr, kappa = 1e-3, 10.0
    place = nn.Parameter(torch.full((4,), 100.0, dtype=torch.float64))
    model = nn.ParameterList([place])
    optimizer, recorder = adamw(model, lr=lr, weight_decay=0.0), StepRecorder(model)
    for _ in range(50):
        optimizer.zero_grad()
        (0.5 * curvature * place.square().sum()).backward()
        recorder.before(optimizer)
        optimizer.step()
        recorder.after()
    rate = matched_rate(recorder.median_ratio(), adamw_lr=lr, kappa=kappa, momentum=MU)
    assert rate == pytest.approx(kappa * (1 - MU) * lr / (curvature * 100), rel=1e-2)
    optimizer_2 = sgd(model, lr=rate, weight_decay=0.0, momentum=MU)
    for _ in range(100):
        before = place.detach().clone()
        optimizer_2.zero_grad()
        (curvature * 100 * place.sum()).backward()
        optimizer_2.step()
    length = float((place.detach() - before).norm()) / 2  # of one coordinate: four of them
    assert length == pytest.approx(kappa * lr, rel=1e-2)


def _shrinkage(make: Callable[[nn.Module], torch.optim.Optimizer]) -> float:
    """The share of a weight that 300 settled steps without gradient take away, per step."""
    model = nn.Linear(1, 1, bias=False).double()
    nn.init.ones_(model.weight)
    optimizer = make(model)
    sizes = []
    for _ in range(400):
        model.weight.grad = torch.zeros_like(model.weight)
        optimizer.step()
        sizes.append(float(model.weight.detach()))
    return 1 - (sizes[-1] / sizes[99]) ** (1 / 300)


def test_sgd_shrinks_the_weights_as_adamw_did() -> None:
    decay = matched_weight_decay(adamw_lr=0.01, adamw_decay=0.02, sgd_lr=0.5, momentum=MU)
    expected = _shrinkage(lambda model: adamw(model, lr=0.01, weight_decay=0.02))
    assert expected == pytest.approx(0.01 * 0.02, rel=1e-3)
    assert _shrinkage(lambda model: sgd(model, lr=0.5, weight_decay=decay, momentum=MU)) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize("make", [adamw, lambda model, **how: sgd(model, momentum=0.9, **how)])
def test_biases_and_norms_are_not_decayed(make: Callable[..., torch.optim.Optimizer], model: nn.Module) -> None:
    decayed, kept = make(model, lr=0.1, weight_decay=0.3).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    assert {names[id(p)] for p in decayed["params"]} == {"0.weight", "3.weight"} and decayed["weight_decay"] == 0.3
    assert {names[id(p)] for p in kept["params"]} == {"1.weight", "1.bias", "3.bias"} and kept["weight_decay"] == 0.0


def test_sgd_without_momentum_is_plain() -> None:
    assert sgd(nn.Linear(1, 1), lr=0.1, weight_decay=0.0, momentum=0.0).defaults["nesterov"] is False
    assert sgd(nn.Linear(1, 1), lr=0.1, weight_decay=0.0, momentum=0.9).defaults["nesterov"] is True


def test_frozen_parameters_are_left_out(model: nn.Module) -> None:
    for parameter in model[0].parameters():  # type: ignore[index]
        parameter.requires_grad_(False)
    frozen = vector(model[0])  # type: ignore[index]
    train(model, 2)
    assert torch.equal(vector(model[0]), frozen)  # type: ignore[index]
