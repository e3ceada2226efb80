"""Routing: how capsules of one layer choose, by agreement, which capsules of the next they speak to."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ocr_sweep.config.model import AttentionRouting, DynamicRouting, RoutingConfig

_EPSILON = 1e-7


class CapsuleLayer(nn.Module):
    """N capsules of p numbers route to M capsules of d numbers; (B, N, p) to (B, M, d), each of length below 1.

    A child's votes are matrices times its pose. Couplings sum to M over the parents, not to 1 as in the papers, so that
    they are 1 on average: with ten parents the weights can make up for a coupling of a tenth, with 17,380 the squash
    would see nothing. Memory beside the N p M d weights is B N M d votes, a few times over.
    """

    def __init__(self, children: int, child_pose: int, parents: int, pose: int, routing: RoutingConfig) -> None:
        super().__init__()
        self.shape = (parents, children, pose)
        self.weight = nn.Parameter(torch.empty(children, child_pose, parents * pose))  # (N, p, M d)
        nn.init.normal_(self.weight, std=2 * (children * pose) ** -0.5)  # sums of votes are about 1 long
        self.rounds = routing.rounds if isinstance(routing, DynamicRouting) else 0
        self.prior: nn.Parameter | None = None
        if isinstance(routing, AttentionRouting):
            self.prior = nn.Parameter(torch.zeros(parents, children))  # (M, N)

    def forward(self, children: Tensor) -> Tensor:
        """(B, N, p) poses to (B, M, d) poses."""
        parents, count, pose = self.shape
        votes = torch.bmm(children.transpose(0, 1), self.weight)  # (N, B, M d)
        votes = votes.view(count, -1, parents, pose).permute(1, 2, 0, 3).contiguous()  # (B, M, N, d)
        return dynamic_routing(votes, self.rounds) if self.prior is None else attention_routing(votes, self.prior)


def dynamic_routing(votes: Tensor, rounds: int) -> Tensor:
    """Routing by agreement: (B, M, N, d) votes to (B, M, d) poses.

    Each round, a child speaks louder to the parents that its votes agreed with. Couplings are M softmax over the parents.

    References:
        Sabour et al., Dynamic routing between capsules, arXiv:1710.09829, procedure 1.
    """
    parents = squash(votes.sum(dim=2))  # the first round couples all alike
    agreement: Tensor | None = None
    for _ in range(rounds - 1):
        seen = torch.matmul(votes, parents.unsqueeze(3)).squeeze(3)  # (B, M, N)
        agreement = seen if agreement is None else agreement + seen
        couplings = votes.shape[1] * agreement.softmax(dim=1)
        parents = squash(_coupled(couplings, votes))
    return parents


def attention_routing(votes: Tensor, prior: Tensor) -> Tensor:
    """Self-attention routing, without rounds: (B, M, N, d) votes and (M, N) prior couplings to (B, M, d) poses.

    A vote weighs as much as it agrees with all votes for the same parent. Couplings are M softmax over the parents, plus
    the prior.

    References:
        Mazzia et al., Efficient-CapsNet, arXiv:2101.12491, equations 5 to 7.
    """
    agreement = torch.matmul(votes, votes.sum(dim=2).unsqueeze(3)).squeeze(3)  # (B, M, N)
    couplings = votes.shape[1] * (agreement * votes.shape[3] ** -0.5).softmax(dim=1) + prior
    return soft_squash(_coupled(couplings, votes))


def _coupled(couplings: Tensor, votes: Tensor) -> Tensor:
    """(B, M, N) couplings and (B, M, N, d) votes to (B, M, d) sums."""
    return torch.matmul(couplings.to(votes.dtype).unsqueeze(2), votes).squeeze(2)


def squash(poses: Tensor) -> Tensor:
    """Shorten (..., d) poses to lengths in [0, 1): |s|^2 / (1 + |s|^2) (arXiv:1710.09829, equation 1)."""
    square = poses.float().square().sum(dim=-1, keepdim=True)
    return poses * (square * (square + _EPSILON).rsqrt() / (1 + square)).to(poses.dtype)


def soft_squash(poses: Tensor) -> Tensor:
    """Shorten (..., d) poses to lengths in [0, 1): 1 - exp(-|s|), steeper near 0 (arXiv:2101.12491, equation 3)."""
    length = (poses.float().square().sum(dim=-1, keepdim=True) + _EPSILON).sqrt()
    return poses * ((1 - (-length).exp()) / length).to(poses.dtype)
