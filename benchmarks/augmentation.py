"""Augmentation beside imgaug's own pipeline: the same policy image by image, and on whole batches.

Two policies, at 64 and 32 pixels, on one core: "four" is affine, elastic, blur and noise on every image; "rendered" is the
built-in policy at strength 1, of whose 17 effects imgaug's pipeline has the eleven that imgaug knows. Rounds of all paths
alternate and the best round of each counts; on the CPU in processor seconds, so that neighbours on the machine matter
little. Prints one JSON line; fails when the CPU path makes fewer than 3 times imgaug's images per second on "four", or a
GPU fewer than 50,000.

    .venv/bin/python benchmarks/augmentation.py
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import cv2
import imgaug
import imgaug.augmenters as iaa
import numpy as np
import torch
from numpy.typing import NDArray

from ocr_sweep.augment import BUILT_IN, Policy, Step, Treatment, augment_batch
from ocr_sweep.augment.batched import augment_tensor
from ocr_sweep.augment.blur import GaussianBlur
from ocr_sweep.augment.chance import Stream
from ocr_sweep.augment.geometry import Affine, Elastic
from ocr_sweep.augment.noise import PaperNoise
from ocr_sweep.store import Source

LEAST_RATIO, LEAST_ON_GPU = 3.0, 50_000
BATCH, GPU_BATCH = 256, 4096
FOUR = Policy(
    (
        Step(Elastic(amplitude_range=(0.0, 0.04)), 1.0),
        Step(Affine(rotation_range=(-7, 7), shear_range=(-8, 8), scale_range=(0.8, 1.1), shift_range=(-0.06, 0.06)), 1.0),
        Step(GaussianBlur(sigma_range=(0.0, 0.028)), 1.0),
        Step(PaperNoise(amplitude_range=(0.0, 0.1)), 1.0),
    )
)
POLICIES = {"four": FOUR, "rendered": BUILT_IN["rendered"]}

Images = NDArray[np.uint8]
Work = tuple[Callable[[], Any], int]  # what to do, and how many images it makes


def imgaug_four(size: int) -> Any:
    """The four effects as imgaug has them, with the same ranges; bilinear, as ours."""
    return iaa.Sequential(
        [_elastic(size), _affine(), iaa.GaussianBlur((0.0, 0.028 * size)), iaa.AdditiveGaussianNoise(scale=(0.0, 25.5))]
    )


def imgaug_rendered(size: int, strength: float = 1.0) -> Any:
    """The rendered policy, without what imgaug lacks: erosion, dilation, bleeding and uneven ink, Kanungo, binarisation.

    Strength scales ranges and probabilities, as in ours.
    """
    s = strength
    low_resolution = iaa.KeepSizeByResize(iaa.Resize((1 - 0.4 * s, 1.0), interpolation="area"), interpolation="linear")
    return iaa.Sequential(
        [
            iaa.Sometimes(0.5 * s, _elastic(size, s)),
            _affine(s),
            iaa.Sometimes(0.4 * s, iaa.PerspectiveTransform(scale=(0.0, 0.06 * s))),
            iaa.Sometimes(0.2 * s, iaa.GammaContrast((0.5**s, 2.0**s))),
            iaa.Sometimes(0.35 * s, iaa.GaussianBlur((0.0, 0.028 * size * s))),
            iaa.Sometimes(0.15 * s, iaa.MotionBlur(k=(3, max(4, round(0.07 * size * s))))),
            iaa.Sometimes(0.3 * s, iaa.LinearContrast((1 - 0.4 * s, 1.0))),
            iaa.Sometimes(0.3 * s, iaa.AdditiveGaussianNoise(scale=(0.0, 25.5 * s))),
            iaa.Sometimes(0.2 * s, low_resolution),
            iaa.Sometimes(0.2 * s, iaa.SaltAndPepper((0.0, 0.05 * s))),
            iaa.Sometimes(0.2 * s, iaa.JpegCompression(compression=(10, max(11, round(80 * s))))),
        ]
    )


def _elastic(size: int, strength: float = 1.0) -> Any:
    return iaa.ElasticTransformation(alpha=(0.0, 0.04 * size * size / 4 * strength), sigma=size / 10, order=1)


def _affine(strength: float = 1.0) -> Any:
    s = strength
    shift = {"x": (-0.06 * s, 0.06 * s), "y": (-0.06 * s, 0.06 * s)}
    return iaa.Affine(
        rotate=(-7 * s, 7 * s), shear=(-8 * s, 8 * s), scale=(1 - 0.2 * s, 1 + 0.1 * s), translate_percent=shift, order=1
    )


def paths(name: str, size: int) -> dict[str, Work]:
    """Every way to run a policy on a batch of glyphs."""
    policy, images, sources = POLICIES[name], glyphs(BATCH, size), np.zeros(BATCH, dtype=np.uint8)
    how, place = {Source.RENDERED: Treatment(policy, 1.0)}, {"seed": 1, "epoch": 0}
    peer, deep = (imgaug_four if name == "four" else imgaug_rendered)(size), images[..., None]
    positions = np.arange(GPU_BATCH)
    tensor = torch.from_numpy(images)
    found: dict[str, Work] = {
        "imgaug": (lambda: peer(images=deep), BATCH),
        "cpu": (lambda: augment_batch(images, sources, how, positions=positions[:BATCH], **place), BATCH),
        "batched_cpu": (lambda: augment_tensor(tensor, sources, how, positions=positions[:BATCH], **place), BATCH),
        "drawing": (lambda: policy.draw(1.0, size, Stream(1, 0, positions[:BATCH]), np.arange(BATCH)), BATCH),
    }
    if torch.cuda.is_available():
        many, all_sources = glyphs(GPU_BATCH, size), np.zeros(GPU_BATCH, dtype=np.uint8)

        def on_gpu() -> None:
            augment_tensor(torch.from_numpy(many).cuda(), all_sources, how, positions=positions, **place)
            torch.cuda.synchronize()

        found["cuda"] = (on_gpu, GPU_BATCH)
    return found


def glyphs(count: int, size: int) -> Images:
    """Drawn strokes in place of characters, (count, size, size)."""
    rng, images = np.random.default_rng(0), np.zeros((count, size, size), dtype=np.uint8)
    for image in images:
        for _ in range(6):
            start, end = (tuple(int(x) for x in rng.integers(size // 8, size - size // 8, 2)) for _ in range(2))
            cv2.line(image, start, end, 255, max(1, size // 16), cv2.LINE_AA)
    return images


def speeds(works: dict[str, Work], rounds: int) -> dict[str, float]:
    """Images per second of each, the best of so many alternating rounds after one to warm up; on a GPU by the wall clock."""
    best = dict.fromkeys(works, float("inf"))
    for number in range(rounds + 1):
        for name, (work, _) in works.items():
            clock = time.perf_counter if name == "cuda" else time.process_time
            began = clock()
            work()
            if number:
                best[name] = min(best[name], clock() - began)
    return {name: round(count / best[name]) for name, (_, count) in works.items()}


def main() -> int:
    """Measure, print one JSON line, and fail below a limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=15)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    imgaug.seed(1)
    results = {f"{name} {size}": speeds(paths(name, size), rounds) for name in POLICIES for size in (64, 32)}
    ratios = {what: round(found["cpu"] / found["imgaug"], 2) for what, found in results.items()}
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    print(json.dumps({"images_per_second": results, "cpu_over_imgaug": ratios, "gpu": gpu, "cores": os.cpu_count()}))  # noqa: T201
    slow = [what for what, ratio in ratios.items() if what.startswith("four") and ratio < LEAST_RATIO]
    slow += [what for what, found in results.items() if found.get("cuda", LEAST_ON_GPU) < LEAST_ON_GPU]
    return 1 if slow else 0


if __name__ == "__main__":
    sys.exit(main())
