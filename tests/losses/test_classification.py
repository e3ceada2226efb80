from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ocr_sweep.losses import classification_loss, initial_head_bias
from ocr_sweep.losses.classification import LossKind

B, K = 7, 5


@pytest.fixture
def logits() -> Tensor:
    return (3 * torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 4, 2, 2, 1, 3, 0])


def dense(kind: LossKind, logits: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The definition, over a dense (B, K) target."""
    target = (1 - smoothing) * functional.one_hot(labels, K).double() + smoothing / K
    if kind == "cross_entropy":
        return -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
    return functional.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=1).mean()


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.9])
@pytest.mark.parametrize("kind", ["cross_entropy", "bce"])
def test_value_and_gradient_equal_the_dense_form(kind: LossKind, smoothing: float, logits: Tensor, labels: Tensor) -> None:
    expected = dense(kind, logits, labels, smoothing)
    (gradient,) = torch.autograd.grad(expected, logits)
    came = classification_loss(kind, logits, labels, smoothing)
    (came_gradient,) = torch.autograd.grad(came, logits)
    torch.testing.assert_close(came, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(came_gradient, gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("kind", ["cross_entropy", "bce"])
def test_extreme_logits_stay_finite(kind: LossKind) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = classification_loss(kind, logits, torch.tensor([1]), 0.1)
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()


def test_the_binary_form_sums_over_the_classes() -> None:
    """One image more in the batch changes nothing, one class more adds its own term."""
    labels = torch.zeros(1, dtype=torch.int64)
    one = classification_loss("bce", torch.zeros(1, 4), labels, 0.0)
    assert float(one) == pytest.approx(4 * math.log(2))
    assert float(classification_loss("bce", torch.zeros(2, 4), torch.zeros(2, dtype=torch.int64), 0.0)) == pytest.approx(
        float(one)
    )
    assert float(classification_loss("bce", torch.zeros(1, 5), labels, 0.0)) == pytest.approx(5 * math.log(2))


@pytest.mark.parametrize("num_classes", [2, 96, 17_380])
def test_an_untrained_head_expects_one_class_in_k(num_classes: int) -> None:
    labels = torch.tensor([1])
    for kind, expected in (
        ("cross_entropy", math.log(num_classes)),
        ("bce", math.log(num_classes) + (num_classes - 1) * math.log(num_classes / (num_classes - 1))),
    ):
        logits = torch.full((1, num_classes), initial_head_bias(kind, num_classes), dtype=torch.float64)  # type: ignore[arg-type]
        assert float(classification_loss(kind, logits, labels, 0.0)) == pytest.approx(expected)  # type: ignore[arg-type]
    assert expected < math.log(num_classes) + 1  # the binary form begins at most 1 above the other, not at K ln 2
