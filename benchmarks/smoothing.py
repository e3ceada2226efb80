"""What similarity smoothing costs: whole training steps at 17,380 classes against plain cross entropy, by turns.

Plain is the library's cross entropy without smoothing. All losses train one network with one optimiser in one process, each
a step in its turn, and are measured in processor time, because other programs on the machine would show in the wall clock;
on one thread, because threads that wait for each other take processor time, too. The ratio of a step is the median over the
rounds of a round's two times. The loss alone, forward and backward on random logits, is the least of its times.

`published` is Online Label Smoothing as its paper describes it and as the founding report used it: two tables of K x K, for
each image a row of one copied and, where it was read right, its probabilities added to the other, and all K probabilities
sorted to know that. Its tables take 2.4 GB at 17,380 classes; where the machine has less than three times that free, it
is measured at fewer classes, and against plain cross entropy at as many.

    .venv/bin/python benchmarks/smoothing.py [--batch 64 256] [--size 48] [--rounds 9]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from ocr_sweep.config.model import UNetConfig
from ocr_sweep.losses import Neighbours, classification_loss, logit_adjustment, smoothed_targets
from ocr_sweep.models import build_model
from ocr_sweep.optim import adamw

K = 17_380
LIMIT = 1.05  # of a whole step with similarity smoothing, over plain cross entropy
NEIGHBOURS = 10
NETWORK = UNetConfig(kind="unet", base_channels=16, depth=4, dropout=0.2, decoder=False, reconstruction_weight=0.0)

Loss = Callable[[Tensor, Tensor], Tensor]


def main() -> int:
    """Measure, print one JSON line, and fail when the limit is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--batch", type=int, nargs="+", default=[64, 256])
    parser.add_argument("--size", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=9)
    args = parser.parse_args()
    torch.set_num_threads(1)
    capped = K if _free_bytes() > 3 * 2 * 4 * K**2 else 4_000
    steps: dict[int, dict[str, float]] = {}
    alone: dict[int, dict[str, float]] = {}
    for batch in args.batch:
        losses = {"plain": functional.cross_entropy, **_ours(K)}
        published = {"plain": functional.cross_entropy, "published": _published(capped)}
        groups = [(K, losses | published)] if capped == K else [(K, losses), (capped, published)]
        steps[batch], alone[batch] = {}, {}
        for num_classes, group in reversed(groups):  # plain at K classes is what stays
            steps[batch] |= _ratios(group, num_classes, batch, args.size, args.rounds)
            alone[batch] |= _milliseconds(group, num_classes, batch, args.rounds)
    missed = [batch for batch, ratios in steps.items() if ratios["similarity"] > LIMIT]
    result = {
        "ratio_of_a_step": steps,
        "milliseconds_of_the_loss_alone": alone,
        "published_at_classes": capped,
        "limit": LIMIT,
        "missed": missed,
        "image_size": args.size,
        "load": round(os.getloadavg()[0], 1),
        "torch": torch.__version__,
    }
    print(json.dumps(result))  # noqa: T201
    return 1 if missed else 0


def _ours(num_classes: int) -> dict[str, Loss]:
    rng = np.random.default_rng(0)
    indices = (np.arange(num_classes)[:, None] + rng.integers(1, num_classes, (num_classes, NEIGHBOURS))) % num_classes
    near = Neighbours(indices, np.ones(indices.shape, np.float32))
    weights = np.full(indices.shape, 1 / NEIGHBOURS)
    plain = smoothed_targets(np.zeros(num_classes))
    uniform = smoothed_targets(np.full(num_classes, 0.1))
    similar = smoothed_targets(np.full(num_classes, 0.02), near, weights, 0.08)
    counts = 1 + rng.integers(0, 100, num_classes).astype(np.float64)
    prior = torch.from_numpy(logit_adjustment("bce", counts, 1.0)).float()
    return {
        "plain_ours": lambda z, y: classification_loss("cross_entropy", z, y, plain),
        "uniform": lambda z, y: classification_loss("cross_entropy", z, y, uniform),
        "similarity": lambda z, y: classification_loss("cross_entropy", z, y, similar),
        "similarity_bce": lambda z, y: classification_loss("bce", z, y, similar),
        "similarity_balanced_bce": lambda z, y: classification_loss("bce", z, y, similar, prior),
    }


def _published(num_classes: int) -> Loss:
    """Online Label Smoothing with its loops and tables (Zhang et al., arXiv:2011.12562)."""
    soft = torch.full((num_classes, num_classes), 1 / num_classes)
    gathered = torch.zeros(num_classes, num_classes)
    seen = torch.zeros(num_classes)

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        target = torch.stack([soft[label] for label in labels])  # (B, K)
        with torch.no_grad():
            probability = logits.softmax(dim=1)
            order = probability.argsort(dim=1, descending=True)
            for row, label in enumerate(labels):
                if order[row, 0] == label:
                    gathered[label] += probability[row]
                    seen[label] += 1
        smooth = -(target * logits.log_softmax(dim=1)).sum(dim=1).mean()
        return functional.cross_entropy(logits, labels) + smooth

    return loss


def _ratios(losses: dict[str, Loss], num_classes: int, batch: int, size: int, rounds: int) -> dict[str, float]:
    """The time of a step with each loss over that with the first, all of them in turn; and what the first takes."""
    torch.manual_seed(0)
    model = build_model(NETWORK, num_classes, size).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = adamw(model, lr=1e-3, weight_decay=0.01)
    images = torch.rand(batch, 1, size, size).contiguous(memory_format=torch.channels_last)
    labels = torch.randint(num_classes, (batch,))
    names = list(losses)
    times = np.zeros((rounds, len(names)))
    for turn in range(-1, rounds):  # the first warms up
        for i in np.roll(np.arange(len(names)), turn):
            began = time.process_time()
            _step(model, optimizer, losses[names[i]], images, labels)
            if turn >= 0:
                times[turn, i] = time.process_time() - began
    ratios = {name: round(float(np.median(times[:, i] / times[:, 0])), 3) for i, name in enumerate(names)}
    return ratios | {"milliseconds_of_plain": round(1000 * float(np.median(times[:, 0])))}


def _milliseconds(losses: dict[str, Loss], num_classes: int, batch: int, rounds: int) -> dict[str, float]:
    """The time of each loss alone, forward and backward."""
    logits, labels = torch.randn(batch, num_classes, requires_grad=True), torch.randint(num_classes, (batch,))
    times: dict[str, list[float]] = {name: [] for name in losses}
    for _ in range(rounds):
        for name, loss_of in losses.items():
            began = time.process_time()
            torch.autograd.grad(loss_of(logits, labels), logits)
            times[name].append(time.process_time() - began)
    return {name: round(1000 * min(taken), 1) for name, taken in times.items()}


def _step(model: nn.Module, optimizer: torch.optim.Optimizer, loss_of: Loss, images: Tensor, labels: Tensor) -> None:
    """One update as the trainer does it."""
    loss = loss_of(model(images).logits, labels)
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()


def _free_bytes() -> int:
    lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable"))


if __name__ == "__main__":
    sys.exit(main())
