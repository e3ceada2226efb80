"""Every loss against its definition over a dense (B, K) target in float64, and what it may keep in memory."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from ocr_sweep.config.loss import LossKind
from ocr_sweep.losses import Neighbours, SparseTargets, classification_loss, initial_head_bias, logit_adjustment, smoothed_targets

B, K = 7, 5
KINDS: tuple[LossKind, ...] = ("cross_entropy", "bce")
COUNTS = np.array([90.0, 40.0, 9.0, 3.0, 1.0])
NEIGHBOURS = Neighbours(
    np.array([[1, 4], [0, 2], [-1, -1], [2, -1], [3, 0]]), np.array([[0.9, 0.8], [0.9, 0.5], [0, 0], [0.7, 0], [0.6, 0.1]], "f4")
)
WEIGHTS = np.array([[0.7, 0.3], [0.5, 0.5], [0, 0], [1, 0], [0.9, 0.1]])


@pytest.fixture
def logits() -> Tensor:
    return (3 * torch.randn(B, K, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).requires_grad_()


@pytest.fixture
def labels() -> Tensor:
    return torch.tensor([0, 4, 2, 2, 1, 3, 0])


def table(uniform: NDArray[np.float64], mass: float) -> Tensor:
    """(K, K) targets, written out: the definition."""
    dense = np.diag(1 - uniform) + uniform[:, None] / K
    for own, (near, weights) in enumerate(zip(NEIGHBOURS.indices, WEIGHTS, strict=True)):
        for other, weight in zip(near, weights, strict=True):
            dense[own, other] += mass * weight
            dense[own, own] -= mass * weight
    return torch.from_numpy(dense)


def dense(kind: LossKind, scores: Tensor, target: Tensor) -> Tensor:
    """(B,) the definition over a dense (B, K) target."""
    if kind == "cross_entropy":
        return -(target * scores.log_softmax(dim=1)).sum(dim=1)
    return K * functional.binary_cross_entropy_with_logits(scores, target, reduction="none").mean(dim=1)


def sparse(uniform: NDArray[np.float64], mass: float) -> SparseTargets:
    return smoothed_targets(uniform, NEIGHBOURS, WEIGHTS, mass, torch.float64)


def plain(smoothing: float = 0.0, num_classes: int = K) -> SparseTargets:
    return smoothed_targets(np.full(num_classes, smoothing))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("mass", [0.0, 0.08, -0.08, 0.5])
@pytest.mark.parametrize("smoothing", [[0.0] * K, [0.02] * K, [0.3, 0.2, 0.1, 0.05, 0.0]])
@pytest.mark.parametrize("kind", KINDS)
def test_value_and_gradient_equal_the_dense_form(
    kind: LossKind, smoothing: list[float], mass: float, tau: float, weighted: bool, logits: Tensor, labels: Tensor
) -> None:
    uniform = np.array(smoothing)
    adjustment = torch.from_numpy(logit_adjustment(kind, COUNTS, tau))
    weights = torch.arange(1, K + 1).double() if weighted else torch.ones(K).double()
    expected = (weights[labels] * dense(kind, logits + adjustment, table(uniform, mass)[labels])).mean()
    (gradient,) = torch.autograd.grad(expected, logits)
    came = classification_loss(
        kind, logits, labels, sparse(uniform, mass), adjustment if tau else None, weights if weighted else None
    )
    (came_gradient,) = torch.autograd.grad(came, logits)
    torch.testing.assert_close(came, expected, rtol=1e-9, atol=1e-9)
    torch.testing.assert_close(came_gradient, gradient, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("mass", [0.0, 0.08, -0.08])
def test_targets_sum_to_one_and_a_class_without_neighbours_keeps_its_own(mass: float) -> None:
    targets = sparse(np.full(K, 0.1), mass)
    assert targets.uniform is not None
    torch.testing.assert_close(targets.weight.sum(dim=1) + targets.uniform, torch.ones(K).double())
    assert targets.weight[2].tolist() == [0.9, 0.0, 0.0] and targets.classes[2].tolist() == [2, 2, 2]
    assert targets.weight[0].tolist() == pytest.approx([0.9 - mass, 0.7 * mass, 0.3 * mass])


def test_the_similar_form_is_the_librarys_loss_and_one_term(logits: Tensor, labels: Tensor) -> None:
    """F.cross_entropy(z, y, label_smoothing) + mass (z_y - sum_i weight_i z_i), classes without neighbours left out."""
    near, weights = torch.from_numpy(NEIGHBOURS.indices).clamp(min=0)[labels], torch.from_numpy(WEIGHTS)[labels]
    margin = weights.sum(1) * logits.gather(1, labels[:, None])[:, 0] - (weights * logits.gather(1, near)).sum(1)
    expected = functional.cross_entropy(logits, labels, label_smoothing=0.02, reduction="none") + 0.08 * margin
    came = classification_loss("cross_entropy", logits, labels, sparse(np.full(K, 0.02), 0.08))
    torch.testing.assert_close(came, expected.mean())


def test_adjustment_by_a_uniform_prior_is_cross_entropy(logits: Tensor, labels: Tensor) -> None:
    adjustment = torch.from_numpy(logit_adjustment("cross_entropy", np.full(K, 7.0), 1.0))
    targets = smoothed_targets(np.zeros(K), dtype=torch.float64)
    came = classification_loss("cross_entropy", logits, labels, targets, adjustment)
    torch.testing.assert_close(came, functional.cross_entropy(logits, labels))


def test_balanced_bce_is_the_librarys_loss_times_the_classes(logits: Tensor, labels: Tensor) -> None:
    prior = torch.from_numpy(COUNTS / COUNTS.sum())
    scores, target = logits + prior.log() - (1 - prior).log(), functional.one_hot(labels, K).double() * 0.9 + 0.1 / K
    expected = K * functional.binary_cross_entropy_with_logits(scores, target)
    targets = smoothed_targets(np.full(K, 0.1), dtype=torch.float64)
    adjustment = torch.from_numpy(logit_adjustment("bce", COUNTS, 1.0))
    torch.testing.assert_close(classification_loss("bce", logits, labels, targets, adjustment), expected)


@pytest.mark.parametrize(("tau", "threshold"), [(0.0, math.log(99) / 2), (1.0, 0.0)])
@pytest.mark.parametrize("kind", KINDS)
def test_adjustment_finds_the_balanced_threshold_between_two_gaussians(kind: LossKind, tau: float, threshold: float) -> None:
    """Means -1 and 1, variance 1, 99:1: plain training decides at ln(99) / 2, adjusted training between the means.

    The binary form asks each class by itself, and so finds the same threshold.
    """
    normal = torch.distributions.Normal(0.0, 1.0)
    counts = [9900, 100]
    x = torch.cat([normal.icdf((torch.arange(n, dtype=torch.float64) + 0.5) / n) for n in counts])
    labels = torch.arange(2).repeat_interleave(torch.tensor(counts))
    x = (x + 2 * labels - 1)[:, None]
    adjustment = torch.from_numpy(logit_adjustment(kind, np.array(counts, float), tau))
    targets = smoothed_targets(np.zeros(2), dtype=torch.float64)
    layer = torch.nn.Linear(1, 2).double()
    torch.nn.init.zeros_(layer.weight)
    torch.nn.init.zeros_(layer.bias)
    optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=200, line_search_fn="strong_wolfe", tolerance_change=1e-12)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = classification_loss(kind, layer(x), labels, targets, adjustment)
        loss.backward()
        return loss

    optimizer.step(closure)
    slope, shift = (float(v[1] - v[0]) for v in (layer.weight.detach()[:, 0], layer.bias.detach()))
    assert -shift / slope == pytest.approx(threshold, abs=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_extreme_logits_stay_finite(kind: LossKind) -> None:
    logits = torch.tensor([[1e4, -1e4, 0.0]], requires_grad=True)
    loss = classification_loss(kind, logits, torch.tensor([1]), plain(0.1, 3))
    loss.backward()
    assert torch.isfinite(loss) and logits.grad is not None and torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_not_finite_stays_visible(kind: LossKind, bad: float) -> None:
    logits = torch.zeros(2, K)
    logits[1, 3] = bad
    assert not torch.isfinite(classification_loss(kind, logits, torch.tensor([0, 3]), plain()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_is_left_for_the_loss_and_comes_back_for_the_gradient(kind: LossKind, dtype: torch.dtype) -> None:
    logits = torch.randn(3, K, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    labels = torch.tensor([0, 1, 2])
    loss = classification_loss(kind, logits, labels, plain(0.1))
    loss.backward()
    assert loss.dtype == torch.float32 and logits.grad is not None and logits.grad.dtype == dtype
    torch.testing.assert_close(loss, classification_loss(kind, logits.detach().float(), labels, plain(0.1)))


class Probe(TorchDispatchMode):
    """Writes down the shape of every tensor that an operation makes."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[tuple[int, ...]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        given = {t.untyped_storage().data_ptr() for t in args if isinstance(t, Tensor)}
        for tensor in made if isinstance(made, tuple | list) else [made]:
            if isinstance(tensor, Tensor) and tensor.untyped_storage().data_ptr() not in given:
                self.made.append(tuple(tensor.shape))
        return made


@pytest.mark.parametrize("tau", [0.0, 1.0])
@pytest.mark.parametrize("kind", KINDS)
def test_no_dense_target_is_made(kind: LossKind, tau: float) -> None:
    """With neighbours, forward and backward make no more tensors of (B, K) than plain cross entropy of the library."""
    batch, num_classes, k = 8, 50, 3
    rng = np.random.default_rng(0)
    near = Neighbours(np.stack([rng.permutation(num_classes)[:k] for _ in range(num_classes)]), np.ones((num_classes, k), "f4"))
    targets = smoothed_targets(np.full(num_classes, 0.02), near, np.full((num_classes, k), 1 / k), 0.08)
    adjustment = torch.zeros(num_classes) if tau else None
    labels = torch.arange(batch)

    def made(loss_of: Any) -> list[tuple[int, ...]]:
        logits = torch.randn(batch, num_classes, requires_grad=True)
        with Probe() as probe:
            loss_of(logits).backward()
        assert logits.grad is not None
        return probe.made

    ours = made(lambda logits: classification_loss(kind, logits, labels, targets, adjustment))
    theirs = made(lambda logits: functional.cross_entropy(logits, labels))
    big = [shape for shape in ours if math.prod(shape) >= batch * num_classes]
    assert set(big) == {(batch, num_classes)}  # nothing of (K, K), (B, K, k) or the like
    assert len(big) <= sum(math.prod(shape) >= batch * num_classes for shape in theirs)


def test_the_binary_form_sums_over_the_classes() -> None:
    """One image more in the batch changes nothing, one class more adds its own term."""
    one = classification_loss("bce", torch.zeros(1, 4), torch.tensor([0]), plain(num_classes=4))
    assert float(one) == pytest.approx(4 * math.log(2))
    two = classification_loss("bce", torch.zeros(2, 4), torch.tensor([0, 0]), plain(num_classes=4))
    assert float(two) == pytest.approx(float(one))
    wider = classification_loss("bce", torch.zeros(1, 5), torch.tensor([0]), plain())
    assert float(wider) == pytest.approx(5 * math.log(2))


@pytest.mark.parametrize("tau", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("num_classes", [2, 96, 17_380])
def test_an_untrained_head_expects_one_class_in_k(num_classes: int, tau: float) -> None:
    binary = math.log(num_classes) + (num_classes - 1) * math.log(num_classes / (num_classes - 1))
    targets = smoothed_targets(np.zeros(num_classes), dtype=torch.float64)
    for kind, expected in zip(KINDS, (math.log(num_classes), binary), strict=True):
        logits = torch.full((1, num_classes), initial_head_bias(kind, num_classes, tau), dtype=torch.float64)
        adjustment = torch.from_numpy(logit_adjustment(kind, np.ones(num_classes), tau))
        assert float(classification_loss(kind, logits, torch.tensor([1]), targets, adjustment)) == pytest.approx(expected)
    assert binary < math.log(num_classes) + 1  # the binary form begins at most 1 above the other, not at K ln 2


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_on_a_gpu_is_that_on_the_cpu(kind: LossKind, logits: Tensor, labels: Tensor) -> None:
    device, adjustment = torch.device("cuda"), torch.from_numpy(logit_adjustment(kind, COUNTS, 1.0))
    expected = classification_loss(kind, logits, labels, sparse(np.full(K, 0.1), 0.08), adjustment)
    there = sparse(np.full(K, 0.1), 0.08).to(device)
    came = classification_loss(kind, logits.to(device), labels.to(device), there, adjustment.to(device))
    torch.testing.assert_close(came.cpu(), expected)
    torch.testing.assert_close(torch.autograd.grad(came, logits)[0], torch.autograd.grad(expected, logits)[0])
