"""The independent recogniser: a small network that has seen other faces only, and judges what the generator draws."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ocr_sweep.augment import augment_batch
from ocr_sweep.augment.build import Treatment
from ocr_sweep.augment.policy import RENDERED
from ocr_sweep.corpus.gan.training import Images, device, to_signed
from ocr_sweep.store import Source

_BATCH = 64
_LR = 2e-3
_TREATMENTS = {Source.RENDERED: Treatment(RENDERED, 0.5)}  # a style that it has never seen must not surprise it
_SMOOTHING = 0.05
_WIDTH = 24
_FEATURES = 256


class Recogniser:
    """Learns characters from rendered glyphs, augmented; a `Stepped` training.

    Args:
        images: (N, S, S) glyphs of faces that are no target style.
        labels: (N,) their classes, 0 to num_classes - 1.
    """

    def __init__(self, images: Images, labels: NDArray[np.int64], num_classes: int, *, steps: int, seed: int) -> None:
        self.images, self.labels, self.steps, self.seed = images, labels, steps, seed
        self.num_classes = num_classes
        self.device = device()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = _network(images.shape[1], num_classes)
        self.network.to(self.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=_LR, weight_decay=0.02)

    def step(self, number: int) -> dict[str, float]:
        """Do one update on the glyphs that (seed, number) draws."""
        chosen = np.random.default_rng((self.seed, 1, number)).integers(len(self.labels), size=_BATCH)
        sources = np.full(_BATCH, Source.RENDERED, np.uint8)
        positions = np.arange(number * _BATCH, (number + 1) * _BATCH)
        augmented = augment_batch(self.images[chosen], sources, _TREATMENTS, seed=self.seed, epoch=0, positions=positions)
        self.optimizer.param_groups[0]["lr"] = _LR * 0.5 * (1 + math.cos(math.pi * number / self.steps))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed + number)  # dropout's chance belongs to the step, whatever came before
            logits = self.network(to_signed(augmented, self.device))
        labels = torch.from_numpy(self.labels[chosen]).to(self.device)
        loss = nn.functional.cross_entropy(logits, labels, label_smoothing=_SMOOTHING)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.optimizer.step()
        return {"loss": float(loss.detach())}

    def state(self, *, finished: bool) -> dict[str, Any]:
        """Return everything that going on needs; when finished, the network alone."""
        network = self.network.state_dict()
        return {"network": network} if finished else {"network": network, "optimizer": self.optimizer.state_dict()}

    def load(self, state: dict[str, Any]) -> None:
        """Put back what `state` returned."""
        self.network.load_state_dict(state["network"])
        if "optimizer" in state:
            self.optimizer.load_state_dict(state["optimizer"])

    @torch.inference_mode()
    def probabilities(self, images: Images) -> NDArray[np.float32]:
        """Return (N, K) probabilities for (N, S, S) images."""
        self.network.eval()
        parts: list[Tensor] = [torch.zeros(0, self.num_classes)]
        for first in range(0, len(images), 256):
            parts.append(self.network(to_signed(images[first : first + 256], self.device)).softmax(dim=1).cpu())
        self.network.train()
        return np.asarray(torch.cat(parts).numpy(), dtype=np.float32)


def recogniser_steps(num_classes: int) -> int:
    """How many steps so many classes need: about fifty images of each, and at least 300 steps."""
    return max(300, round(50 * num_classes / _BATCH))


def _network(size: int, num_classes: int) -> nn.Sequential:
    """Four halvings, then a layer that keeps the layout: (B, 1, S, S) to (B, K) logits."""
    layers: list[nn.Module] = []
    widths = [1, _WIDTH, 2 * _WIDTH, 4 * _WIDTH, 8 * _WIDTH]
    for inside, outside in pairwise(widths):
        layers += [nn.Conv2d(inside, outside, 5 if inside == 1 else 3, stride=2, padding=2 if inside == 1 else 1, bias=False)]
        layers += [nn.BatchNorm2d(outside), nn.ReLU()]
    side = size // 16
    head = [nn.Flatten(), nn.Dropout(0.2), nn.Linear(widths[-1] * side * side, _FEATURES), nn.BatchNorm1d(_FEATURES), nn.ReLU()]
    return nn.Sequential(*layers, *head, nn.Linear(_FEATURES, num_classes))
