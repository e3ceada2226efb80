"""A moving average of a network's weights."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn


class Ema:
    """The exponential moving average of a network, from its first update on.

    average <- d average + (1 - d) weights, with d = min(decay, (1 + t) / (10 + t)) after t earlier updates, so that the
    untrained weights are soon forgotten.

    Batch norm's running mean and variance are averaged with the weights. Neighbours in an exponential average are close
    to each other, so the average of their statistics is near that of the averaged network and costs nothing; an average
    over far apart weights, as SWA takes, would need another pass over the training set. Whole numbers are copied.

    Attributes:
        model: the averaged network, in evaluation mode; no gradient reaches it.

    References:
        Polyak & Juditsky 1992; Tarvainen & Valpola, Mean teachers, arXiv:1703.01780; Izmailov et al., SWA, arXiv:1803.05407.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._decay = decay
        pairs = list(zip(_tensors(self.model), _tensors(model), strict=True))
        self._averages = [mine for mine, theirs in pairs if theirs.is_floating_point()]
        self._sources = [theirs for _, theirs in pairs if theirs.is_floating_point()]
        self._copies = [(mine, theirs) for mine, theirs in pairs if not theirs.is_floating_point()]

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the network as it is after its update number `step`, from 0."""
        torch._foreach_lerp_(self._averages, self._sources, 1 - ema_decay(self._decay, step))
        for mine, theirs in self._copies:
            mine.copy_(theirs)

    def state_dict(self) -> dict[str, Any]:
        """The averaged network's tensors."""
        return self.model.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Put the averaged network's tensors back."""
        self.model.load_state_dict(state)


def ema_decay(decay: float, step: int) -> float:
    """The share of the average that stays at an update, warmed up."""
    return min(decay, (1 + step) / (10 + step))


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*(parameter.data for parameter in model.parameters()), *model.buffers()]
