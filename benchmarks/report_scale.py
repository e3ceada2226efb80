"""The report's scale once: 17,380 classes, about a million images, the U-Net at 64 pixels.

The classes are made characters: a left and a right half out of 132 real ones, so that most have look-alikes that differ in one
half. Each half is rendered in many sizes, places and strokes, and an image pairs two renderings; validation pairs others. That
takes a minute where rendering a million glyphs takes an hour, and the network has the same work.

Trains by `Trainer`, as a trial does: the shipped base for this scale (`sweeps/bases/chinese.yaml`: mixed precision, images on
the device, augmentation there in batches), for so many epochs, and prints a line of JSON with

- images a second of each epoch, and the largest share of its time that was waited for data;
- the share of the chip's peak: floating-point operations of the steps (counted by torch's FlopCounterMode; augmentation counts
  as none) over those that a large matrix product of the same precision does a second in the same run;
- accuracy of each epoch on validation, one image a class; the measured peak of memory beside the predicted one.

Fails when the time waited for data is 3 % or more on a GPU, or the peak of memory is more than predicted. On a CPU the same at
a size that takes minutes, which shows that it runs and no more.

    .venv/bin/python benchmarks/report_scale.py [--epochs 3] [--classes 17380] [--images-per-class 60] [--batch 256]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from ocr_sweep.config.load import load_study
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.corpus.fonts import system_fonts
from ocr_sweep.models import build_model
from ocr_sweep.store import ROW_DTYPE, CorpusView
from ocr_sweep.training.trainer import Trainer

ROOT = Path(__file__).parents[1]
CUDA = torch.cuda.is_available()
MOST_WAITING = 0.03
SIDE, HALF = 64, 32
HALVES = 132  # squared they are enough for 17,380 classes
FOR_TRAINING, FOR_VALIDATION = 64, 16  # renderings of each half
PRODUCT = 8192 if CUDA else 1024  # side of the matrices whose product is the reference
SIZES = (17_380, 60, 256, 3) if CUDA else (300, 10, 64, 2)  # classes, images of each, batch, epochs
ON_CPU = {"base_channels": 8, "depth": 3}
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def config(batch: int, epochs: int) -> TrialConfig:
    """The shipped base for this scale; on a CPU with a small network."""
    shipped: dict[str, Any] = load_study(ROOT / "sweeps" / "handover.yaml", ROOT / "sweeps", "paper").base.model_dump()
    shipped["training"] |= {"epochs": epochs, "batch_size": batch}
    if not CUDA:
        shipped["training"] |= {"threads": 1, "augment_on": "cpu"}
        shipped["model"] |= ON_CPU
    return TrialConfig.model_validate(shipped)


def halves(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Renderings of the halves, (HALVES, FOR_TRAINING + FOR_VALIDATION, SIDE, HALF), 255 is ink."""
    (face,) = [path for path in system_fonts() if path.name.startswith("ipaexg")]
    font = ImageFont.truetype(str(face), SIDE)
    made = np.zeros((HALVES, FOR_TRAINING + FOR_VALIDATION, SIDE, HALF), np.uint8)
    for which, char in enumerate(_spread(font)):
        canvas = Image.new("L", (SIDE, SIDE))
        ImageDraw.Draw(canvas).text((SIDE // 2, SIDE // 2), char, fill=255, font=font, anchor="mm")
        glyph = np.asarray(canvas)
        for number in range(made.shape[1]):
            height, width = rng.integers(SIDE - 16, SIDE - 3), rng.integers(HALF - 8, HALF - 1)
            drawn = cv2.resize(glyph, (int(width), int(height)), interpolation=cv2.INTER_AREA)
            if rng.random() < 0.3:
                drawn = cv2.dilate(drawn, np.ones((2, 2), np.uint8))
            top, left = rng.integers(0, SIDE - height + 1), rng.integers(0, HALF - width + 1)
            made[which, number, top : top + height, left : left + width] = drawn
    return made


def _spread(font: ImageFont.FreeTypeFont) -> list[str]:
    """So many characters that the font draws, evenly spread over those of Unicode's first block."""
    missing = bytes(font.getmask("\U0010fffd"))
    drawn = [char for char in map(chr, range(0x4E00, 0x9FA0, 16)) if bytes(font.getmask(char)) != missing]
    return drawn[:: len(drawn) // HALVES][:HALVES]


def view(classes: int, images_per_class: int) -> CorpusView:
    """Made characters in memory: rendered images of each class for training, one for validation."""
    rng = np.random.default_rng(0)
    made = halves(rng)
    rows = np.zeros(classes * (images_per_class + 1), ROW_DTYPE)
    rows["class_id"] = np.arange(len(rows)) % classes
    rows["set_id"][classes * images_per_class :] = 1
    validates = rows["set_id"] == 1
    images = np.empty((len(rows), SIDE, SIDE), np.uint8)
    for part, component in ((slice(None, HALF), rows["class_id"] // HALVES), (slice(HALF, None), rows["class_id"] % HALVES)):
        number = rng.integers(0, FOR_TRAINING, len(rows))
        number[validates] = FOR_TRAINING + rng.integers(0, FOR_VALIDATION, classes)
        images[:, :, part] = made[component, number]
    chars = "".join(chr(0x20000 + i) for i in range(classes))
    manifest = {"recipe": {"charset": {"chars": chars}}, "sets": ["train", "val/made"], "fingerprint": "made"}
    return CorpusView(Path(), manifest, images, rows)


def operations_per_image(asked: TrialConfig, classes: int) -> float:
    """Floating-point operations of one image's share of a step, forward and backward."""
    few = 4
    model = build_model(asked.model, classes, SIDE).train()
    with FlopCounterMode(display=False) as counter:
        output = model(torch.zeros(few, 1, SIDE, SIDE))
        loss = functional.cross_entropy(output.logits, torch.zeros(few, dtype=torch.long))
        if output.restored is not None:
            loss = loss + output.restored.square().mean()
        loss.backward()
    return float(counter.get_total_flops()) / few


def operations_per_second(precision: str) -> float:
    """What a large matrix product reaches on this chip, the best of ten."""
    device, kind = torch.device("cuda" if CUDA else "cpu"), TYPES[precision]
    left, right = (torch.randn(PRODUCT, PRODUCT, device=device, dtype=kind) for _ in range(2))
    best = float("inf")
    for _ in range(10):
        _synchronize()
        began = time.perf_counter()
        left @ right
        _synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * PRODUCT**3 / best


def _synchronize() -> None:
    if CUDA:
        torch.cuda.synchronize()


@dataclass
class Epochs:
    """Hears the epochs of a training."""

    told: list[dict[str, float]] = field(default_factory=list)

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        """Keep it, and say it: an epoch may take minutes."""
        self.told.append(metrics)
        print(f"epoch {epoch}: {metrics}", file=sys.stderr)  # noqa: T201

    def should_stop(self) -> bool:
        """Never."""
        return False


def main() -> int:
    """Measure, print one JSON line, and fail when a limit is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, size in zip(("--classes", "--images-per-class", "--batch", "--epochs"), SIZES, strict=True):
        parser.add_argument(name, type=int, default=size)
    asked = parser.parse_args()
    trial = config(asked.batch, asked.epochs)
    began = time.perf_counter()
    corpus = view(asked.classes, asked.images_per_class)
    made = time.perf_counter() - began
    peak = operations_per_second(trial.training.precision)
    each, epochs = operations_per_image(trial, asked.classes), Epochs()
    with tempfile.TemporaryDirectory() as folder:
        trained = Trainer(trial, corpus, Path(folder) / "checkpoint.pt").run(epochs)
    assert trained is not None
    speeds = [told["epoch/images_per_second"] for told in epochs.told]
    waiting = max(told["epoch/wait_share"] for told in epochs.told)
    memory, predicted = trained.measured["memory/peak_mb"], trained.measured["memory/predicted_mb"]
    missed = {"waiting": CUDA and waiting >= MOST_WAITING, "memory": CUDA and memory > predicted}
    found = {
        "device": torch.cuda.get_device_name(0) if CUDA else f"{len(os.sched_getaffinity(0))} cores",
        "classes": asked.classes,
        "images": int((corpus.rows["set_id"] == 0).sum()),
        "seconds_to_make_them": round(made, 1),
        "batch": asked.batch,
        "precision": trial.training.precision,
        "images_per_second": [round(speed, 1) for speed in speeds],
        "waiting": round(waiting, 4),
        "gigaflop_per_image": round(each / 1e9, 3),
        "teraflops_of_a_matrix_product": round(peak / 1e12, 3),
        "share_of_it": round(statistics.median(speeds) * each / peak, 3),
        "accuracy": [round(told["epoch/val/accuracy"], 4) for told in epochs.told],
        "peak_mb": round(memory),
        "predicted_mb": round(predicted),
        "missed": [what for what, is_missed in missed.items() if is_missed],
    }
    print(json.dumps(found))  # noqa: T201
    return 1 if found["missed"] else 0


if __name__ == "__main__":
    sys.exit(main())
