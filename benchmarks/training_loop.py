"""How fast a trial trains: our loop against a plain PyTorch loop of the same network, loss and batches on the same device.

Ours is `Feed` and `Trainer.train_batch`, with everything that a trial does at every step: its clipping, the record of AdamW's
steps, the watch on the loss. The plain loop is a `DataLoader`, AdamW and nothing else: images as they come (no channels-last),
fp32, eager. It augments with imgaug's pipeline (`plain_imgaug`), or with our own functions (`plain`, so that the ratio says
nothing about augmentation). All take turns; the best turn of each counts. On a CPU it is measured in processor seconds of
one thread, because other programs on the machine would show in the wall clock; on a GPU by the wall clock.

The other rows are what a trial may ask for: a batch in four parts, bf16, torch.compile, batches made ahead by a thread.
Of the last only the wall clock on a free machine speaks, and only if it has a core to spare.

Prints one JSON line. Fails when ours is slower than `plain` on a CPU; on a GPU when ours as the shipped GPU studies train, in
bf16, is less than twice as fast as `plain_imgaug`, or waits for data 3 % of its time or more.

    .venv/bin/python benchmarks/training_loop.py [--without compile]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from augmentation import glyphs, imgaug_rendered
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler

from ocr_sweep.augment import augment_batch, treatments
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.losses import reconstruction_loss
from ocr_sweep.models import build_model
from ocr_sweep.store import ROW_DTYPE, CorpusView
from ocr_sweep.training.prefetch import Prefetch
from ocr_sweep.training.trainer import Trainer

LEAST_ON_CPU, LEAST_ON_GPU, MOST_WAITING = 1.0, 2.0, 0.03
CUDA = torch.cuda.is_available()
JUDGED = "bf16" if CUDA else "ours"
DEVICE = torch.device("cuda" if CUDA else "cpu")
SIDE, CLASSES, IMAGES = (64, 1000, 20_000) if CUDA else (48, 1000, 4_000)
BATCH, BATCHES, ROUNDS, BASE = (256, 100, 5, 64) if CUDA else (64, 4, 5, 16)
WARM_UP = 2  # batches before the first turn
VARIANTS: dict[str, dict[str, Any]] = {
    "ours": {},
    "accumulate_4": {"accumulate": 4},
    "bf16": {"precision": "bf16"},
    "compile": {"compile": True},
    "prefetch": {},
}

Loop = Callable[[int], float]  # trains so many batches; seconds that it waited for data


def view() -> CorpusView:
    """Drawn strokes of as many classes as a small charset has, in memory."""
    rows = np.zeros(IMAGES + CLASSES, ROW_DTYPE)
    rows["class_id"] = np.arange(len(rows)) % CLASSES
    rows["set_id"][IMAGES:] = 1
    chars = "".join(chr(0x4E00 + i) for i in range(CLASSES))
    manifest = {"recipe": {"charset": {"chars": chars}}, "sets": ["train", "val/drawn"], "fingerprint": "drawn"}
    return CorpusView(Path(), manifest, np.resize(glyphs(2000, SIDE), (len(rows), SIDE, SIDE)), rows)


def config(**training: Any) -> TrialConfig:
    """A U-Net with its decoder, as the shipped studies train it."""
    return TrialConfig.model_validate(
        {
            "corpus": {
                "name": "drawn", "seed": 0, "image_size": SIDE, "charset": {"chars": "一二"},
                "rendered": {"fonts": ["system"], "max_faces": 1},
                "scanned": [
                    {"name": "book", "path": "book", "split": {"train": 0.5, "val": 0.25, "test": 0.25}, "group": None,
                     "max_bad": 0.0}
                ],
                "scanned_per_class": 50, "simulated": [],
            },
            "seed": 0,
            "image_size": SIDE,
            "model": {"kind": "unet", "base_channels": BASE, "depth": 3, "dropout": 0.1, "decoder": True,
                      "reconstruction_weight": 1.0},
            "augment": {"rendered": {"strength": 1.0}, "scanned": {"strength": 0.0}},
            "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
            "optim": {"lr": 1e-3, "weight_decay": 0.05, "warmup": 0.1, "clip_norm": 5.0, "handover_at": 0.8,
                      "handover_patience": 0, "handover_rate": "matched", "handover_kappa": 10.0, "sgd_momentum": 0.9},
            "training": {"epochs": 10, "batch_size": BATCH, "images_per_epoch": BATCH * (WARM_UP + ROUNDS * BATCHES),
                         "sampling": "instance", "threads": 1, "augment_on": "batch" if CUDA else "cpu", **training},
        }
    )  # fmt: skip


def ours(corpus: CorpusView, folder: Path, name: str) -> Loop:
    """Our loop, with what a variant asks for."""
    trainer = Trainer(config(**VARIANTS[name]), corpus, folder / f"{name}.pt")
    trainer.model.train()
    batches = Prefetch(trainer.feed, 10, DEVICE) if CUDA or name == "prefetch" else trainer.feed

    def train(count: int) -> float:
        torch.use_deterministic_algorithms(True, warn_only=True)  # as the trainer has it; the plain loop turned it off
        return sum(trainer.train_batch(batches) for _ in range(count))

    return train


class Drawn(Dataset[tuple[Tensor, Tensor, int]]):
    """The training images, distorted as they are taken: a batch at once by our functions, or one by one by imgaug."""

    def __init__(self, corpus: CorpusView, *, imgaug: bool) -> None:
        self._corpus = corpus
        self._peer = imgaug_rendered(SIDE) if imgaug else None
        self._how = treatments(config().augment)
        self._taken = 0

    def __len__(self) -> int:
        return IMAGES

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor, int]]:
        """The images of a batch."""
        clean = self._corpus.images[indices]
        if self._peer:
            moved = np.stack([self._peer(image=image[..., None])[..., 0] for image in clean])
        else:
            positions = np.arange(self._taken, self._taken + len(indices))
            moved = augment_batch(clean, np.zeros(len(clean), np.uint8), self._how, seed=0, epoch=0, positions=positions)
            self._taken += len(indices)
        tensors = (torch.from_numpy(images)[:, None].float() / 255 for images in (moved, clean))
        return list(zip(*tensors, self._corpus.class_ids[indices].tolist(), strict=True))


def plain(corpus: CorpusView, *, imgaug: bool) -> Loop:
    """The first loop that one writes."""
    torch.manual_seed(0)
    model = build_model(config().model, CLASSES, SIDE).to(DEVICE).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.05)
    data = Drawn(corpus, imgaug=imgaug)
    workers = len(os.sched_getaffinity(0)) if CUDA else 0
    chosen = RandomSampler(data, replacement=True, num_samples=BATCH * (WARM_UP + ROUNDS * BATCHES + 100))
    loader: Iterator[Any] = iter(DataLoader(data, BATCH, sampler=chosen, num_workers=workers, pin_memory=CUDA))

    def train(count: int) -> float:
        torch.use_deterministic_algorithms(False)
        waited = 0.0
        for _ in range(count):
            began = time.perf_counter()
            images, clean, labels = (tensor.to(DEVICE, non_blocking=True) for tensor in next(loader))
            waited += time.perf_counter() - began
            output = model(images)
            loss = torch.nn.functional.cross_entropy(output.logits, labels, label_smoothing=0.1)
            loss = loss + reconstruction_loss(output.restored, clean)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()
        return waited

    return train


@dataclass
class Times:
    """What the turns of a loop took."""

    seconds: float = float("inf")  # the best turn: processor seconds on a CPU, wall clock on a GPU
    wall: float = float("inf")  # the best turn
    waiting: list[float] = field(default_factory=list)  # share of each turn


def by_turns(loops: dict[str, Loop]) -> tuple[dict[str, Times], dict[str, float]]:
    """Run all loops in turn; their times, and the seconds of the batches before the first turn, compiling included."""
    times, warm_up = {name: Times() for name in loops}, {}
    for name, loop in loops.items():
        warm_up[name] = timed(loop, WARM_UP)[1]
    for _ in range(ROUNDS):
        for name, loop in loops.items():
            processor, wall, waited = timed(loop, BATCHES)
            mine = times[name]
            mine.seconds, mine.wall = min(mine.seconds, wall if CUDA else processor), min(mine.wall, wall)
            mine.waiting.append(waited / wall)
    return times, warm_up


def timed(loop: Loop, count: int) -> tuple[float, float, float]:
    """Processor seconds, seconds by the wall clock, and those that were waited for data."""
    if CUDA:
        torch.cuda.synchronize()
    began, wall = time.process_time(), time.perf_counter()
    waited = loop(count)
    if CUDA:
        torch.cuda.synchronize()
    return time.process_time() - began, time.perf_counter() - wall, waited


def main() -> int:
    """Measure, print one JSON line, and fail when a limit is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--without", nargs="*", default=[], choices=[*VARIANTS, "plain_imgaug"], help="rows to leave out")
    left_out = parser.parse_args().without
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    load, corpus = os.getloadavg()[0], view()
    with tempfile.TemporaryDirectory() as folder:
        loops = {"plain": plain(corpus, imgaug=False), "plain_imgaug": plain(corpus, imgaug=True)}
        loops |= {name: ours(corpus, Path(folder), name) for name in VARIANTS}
        times, warm_up = by_turns({name: loop for name, loop in loops.items() if name not in left_out})
    images = BATCH * BATCHES
    found = {
        name: {
            "images_per_second": round(images / mine.seconds, 1),
            "of_plain": round(times["plain"].seconds / mine.seconds, 2),
            "of_plain_by_the_wall": round(times["plain"].wall / mine.wall, 2),
            "waiting": round(float(np.median(mine.waiting)), 3),
            "warm_up_seconds": round(warm_up[name], 1),
        }
        for name, mine in times.items()
    }
    missed = _missed(times) if JUDGED in times else []
    print(json.dumps({"device": str(DEVICE), "loops": found, "missed": missed, "load_before": round(load, 1)}))  # noqa: T201
    return 1 if missed else 0


def _missed(times: dict[str, Times]) -> list[str]:
    mine, missed = times[JUDGED], []
    if not CUDA and times["plain"].seconds / mine.seconds < LEAST_ON_CPU:
        missed.append("plain")
    if CUDA and "plain_imgaug" in times and times["plain_imgaug"].seconds / mine.seconds < LEAST_ON_GPU:
        missed.append("plain_imgaug")
    if CUDA and float(np.median(mine.waiting)) >= MOST_WAITING:
        missed.append("waiting")
    return missed


if __name__ == "__main__":
    sys.exit(main())
