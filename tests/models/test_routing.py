"""Routing against its formulas, written for one image in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from ocr_sweep.config.model import AttentionRouting, CapsuleConfig, DynamicRouting
from ocr_sweep.models import build_model
from ocr_sweep.models.capsule import ClassCapsules
from ocr_sweep.models.routing import CapsuleLayer, attention_routing, dynamic_routing, soft_squash, squash


def squashed(s: Tensor) -> Tensor:
    return (s @ s) / (1 + s @ s) * s / s.norm()


def votes(images: int = 2, parents: int = 4, children: int = 5, pose: int = 3) -> Tensor:
    return torch.randn(images, parents, children, pose, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_dynamic_routing_is_the_procedure_of_the_paper(rounds: int) -> None:
    for u, came in zip(votes(), dynamic_routing(votes(), rounds), strict=True):
        b = torch.zeros(4, 5, dtype=torch.float64)
        for _ in range(rounds):
            c = 4 * torch.exp(b) / torch.exp(b).sum(dim=0)
            v = torch.stack([squashed(sum(c[j, i] * u[j, i] for i in range(5))) for j in range(4)])
            b = b + torch.einsum("jid,jd->ji", u, v)
        torch.testing.assert_close(came, v, rtol=1e-5, atol=1e-6)  # lengths are computed in float32


def test_attention_routing_is_the_formula_of_the_paper() -> None:
    prior = torch.randn(4, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for u, came in zip(votes(), attention_routing(votes(), prior), strict=True):
        a = torch.tensor([[sum(u[j, i] @ u[j, k] for k in range(5)) for i in range(5)] for j in range(4)]) / 3**0.5
        c = 4 * torch.exp(a) / torch.exp(a).sum(dim=0) + prior
        s = torch.einsum("ji,jid->jd", c, u)
        v = (1 - torch.exp(-s.norm(dim=1, keepdim=True))) * s / s.norm(dim=1, keepdim=True)
        torch.testing.assert_close(came, v, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("function", [squash, soft_squash])
def test_a_squashed_pose_keeps_its_direction_and_is_shorter_than_one(function: object) -> None:
    poses = 2 * torch.randn(100, 6, generator=torch.Generator().manual_seed(0))
    came = function(poses)  # type: ignore[operator]
    assert (came.norm(dim=1) < 1).all()
    torch.testing.assert_close(torch.nn.functional.cosine_similarity(came, poses), torch.ones(100))
    zero = torch.zeros(1, 6, requires_grad=True)
    function(zero).sum().backward()  # type: ignore[operator]
    assert zero.grad is not None and zero.grad.isfinite().all()


@pytest.mark.parametrize("routing", [DynamicRouting(kind="dynamic"), AttentionRouting(kind="attention")])
@pytest.mark.parametrize("parents", [10, 5000])
def test_many_parents_do_not_fade(routing: DynamicRouting | AttentionRouting, parents: int) -> None:
    torch.manual_seed(0)
    children = squash(torch.randn(4, 16, 8))
    lengths = CapsuleLayer(16, 8, parents, 16, routing)(children).norm(dim=2)
    assert 0.1 < lengths.mean() < 0.95 and lengths.std() > 0.01


def test_a_votes_matrix_is_each_childs_own() -> None:
    layer = CapsuleLayer(3, 2, 4, 5, DynamicRouting(kind="dynamic", rounds=1))
    children = torch.randn(2, 3, 2)
    weight = layer.weight.view(3, 2, 4, 5)
    sums = torch.einsum("bnp,npmd->bmd", children, weight)
    torch.testing.assert_close(layer(children), squash(sums))


def test_a_class_is_a_mixture_of_latent_capsules() -> None:
    head = ClassCapsules(6, 9, pose=4, scale=20.0)
    torch.nn.init.normal_(head.bias)
    latent = torch.randn(2, 6, 4)
    poses = torch.einsum("km,bmd->bkd", head.weight, latent)
    torch.testing.assert_close(head(latent.flatten(1)), 20 * squash(poses).norm(dim=2) + head.bias, rtol=1e-4, atol=1e-4)


def test_a_class_costs_less_than_in_a_linear_head() -> None:
    def count(num_classes: int, latent: int | None) -> int:
        config = CapsuleConfig(
            kind="capsule", base_channels=4, depth=2, routing=AttentionRouting(kind="attention"), latent=latent, dropout=0.0
        )
        with torch.device("meta"):
            return sum(p.numel() for p in build_model(config, num_classes, 16).parameters())

    assert count(17_381, 128) - count(17_380, 128) == 128 + 1
    assert count(17_381, None) - count(17_380, None) == 32 * 8 * 16 + 32 + 1
