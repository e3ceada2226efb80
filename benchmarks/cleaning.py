"""What cleaning finds on real scans whose labels and copies we damaged ourselves.

Flips 5 % of the labels of `casia_hwdb96` (96 look-alike characters), drawn with a seed, and counts how many the three votes
find and how many of what they find is planted. Then plants altered copies of scans (smaller, larger, brighter, blurred,
JPEG) and counts how many are grouped with their original, and how long 100,000 images take.

    OCR_SWEEP_DATA=/path/to/data .venv/bin/python benchmarks/cleaning.py [--seeds 3]
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from ocr_sweep.corpus.duplicates import duplicate_groups, members, same_pictures
from ocr_sweep.corpus.jobs import ScanJob, make_images
from ocr_sweep.corpus.label_errors import VOTES, LabelVotes, vote_on_labels
from ocr_sweep.corpus.pictures import Unreadable

SIZE = 48  # pixels, as in sweeps/corpora/handwriting.yaml
SHARE = 0.05
RECALL, PRECISION = 0.8, 0.5
PLANTED = 500
COPY_SEEDS = 20
MANY = 100_000


def main() -> None:
    """Measure and print; exit code 1 where a target is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    seeds = parser.parse_args().seeds
    folder = Path(os.environ.get("OCR_SWEEP_DATA") or "data") / "casia_hwdb96"
    if not (folder / "meta.csv").is_file():
        sys.exit(f"this benchmark needs the scans of {folder}; set OCR_SWEEP_DATA to the folder that holds casia_hwdb96")
    with (folder / "meta.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    files = [folder / row["file"] for row in rows]
    images = _read(files)
    _, labels = np.unique([row["label"] for row in rows], return_inverse=True)
    _, writers = np.unique([row["source_no"] for row in rows], return_inverse=True)
    met = [_flip(images, labels, writers, seed, hard=hard) for hard in (False, True) for seed in range(seeds)]
    found = [_plant(images, labels, files, seed) for seed in range(COPY_SEEDS)]
    _many(images, labels)
    if not (all(met[:seeds]) and all(found)):
        sys.exit(1)


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def _read(files: list[Path]) -> NDArray[np.uint8]:
    found = list(make_images([ScanJob(file, None) for file in files], SIZE, os.cpu_count() or 1))
    return np.stack([image for image in found if not isinstance(image, Unreadable)])


def _flip(images: NDArray[np.uint8], truth: NDArray[np.int64], writers: NDArray[np.int64], seed: int, *, hard: bool) -> bool:
    """Flip labels, to any other character or (hard) to the one that looks most alike, and vote. Whether both targets are met."""
    rng = np.random.default_rng(seed)
    classes = int(truth.max()) + 1
    planted = np.zeros(len(truth), bool)
    planted[rng.choice(len(truth), round(SHARE * len(truth)), replace=False)] = True
    labels = truth.copy()
    other = _most_alike(images, truth)[truth] if hard else (truth + rng.integers(1, classes, len(truth))) % classes
    labels[planted] = other[planted]
    start = time.perf_counter()
    votes = vote_on_labels(images, labels, writers, num_classes=classes, seed=seed)
    seconds = time.perf_counter() - start
    flagged = np.zeros(len(truth), bool)
    flagged[votes.suspects] = True
    precision, recall = _shares(flagged, planted)
    kind = "to the look-alike" if hard else "to any character"
    right = np.mean(votes.predicted[planted & flagged] == truth[planted & flagged])
    first = planted[votes.suspects[: planted.sum()]].mean()
    _say(f"flipped {kind}, seed {seed}: recall {recall:.3f}, precision {precision:.3f}, {flagged.sum()} of {len(truth)} flagged")
    _say(f"  precision of the first {planted.sum()}: {first:.3f}; right character proposed: {right:.3f}; {seconds:.0f} s")
    _say(f"  {_single(votes, planted)}")
    return recall >= RECALL and precision >= PRECISION


def _single(votes: LabelVotes, planted: NDArray[np.bool_]) -> str:
    parts = [(name, _shares(votes.votes[:, i], planted)) for i, name in enumerate(VOTES)]
    return "alone: " + "; ".join(f"{name} recall {recall:.2f} precision {precision:.2f}" for name, (precision, recall) in parts)


def _shares(flagged: NDArray[np.bool_], planted: NDArray[np.bool_]) -> tuple[float, float]:
    """Precision and recall."""
    both = float((flagged & planted).sum())
    return both / max(1, int(flagged.sum())), both / int(planted.sum())


def _most_alike(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """(K,) the class with the nearest mean image."""
    means = np.stack([images[labels == k].mean(axis=0).ravel() for k in range(int(labels.max()) + 1)])
    distance = ((means[:, None] - means[None]) ** 2).sum(axis=2)
    np.fill_diagonal(distance, np.inf)
    return np.asarray(distance.argmin(axis=1))


def _plant(images: NDArray[np.uint8], labels: NDArray[np.int64], files: list[Path], seed: int) -> bool:
    """Add altered copies and look for them among all images. Whether each is found with its original, and nothing else is."""
    rng = np.random.default_rng(seed)
    chosen = rng.choice(len(files), PLANTED, replace=False)
    with tempfile.TemporaryDirectory() as folder:
        paths = [_alter(files[i], Path(folder) / f"{i}.jpg", number) for number, i in enumerate(chosen.tolist())]
        everything = np.concatenate([images, _read(paths)])
    before = duplicate_groups(images, labels)
    after = duplicate_groups(everything, np.concatenate([labels, labels[chosen]]))
    found = int((after[len(images) :] == after[chosen]).sum())
    joined = [len(np.unique(before[group[group < len(images)]])) > 1 for group in members(after)]
    _say(
        f"planted copies, seed {seed}: {found} of {PLANTED} found; groups that were there before: {len(members(before))}; "
        f"groups that a copy joined by mistake: {sum(joined)}"
    )
    return found == PLANTED and not any(joined)


def _alter(source: Path, target: Path, number: int) -> Path:
    """One of five ways in which a picture comes back: smaller, larger, brighter, blurred, coarsely compressed."""
    with Image.open(source) as opened:
        image = opened.convert("L")
    way = number % 5
    if way in (0, 1):
        factor = (0.7, 1.4)[way]
        image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.BICUBIC)
    elif way == 2:
        image = image.point(lambda level: level * 0.8 + 30)
    elif way == 3:
        image = image.filter(ImageFilter.GaussianBlur(0.6))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40 if way == 4 else 75)
    target.write_bytes(buffer.getvalue())
    return target


def _many(images: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
    """Time for 100,000 images: the scans again and again, each moved and bent by chance into one of its own."""
    import cv2

    rng = np.random.default_rng(1)
    many = np.empty((MANY, SIZE, SIZE), np.uint8)
    for i in range(MANY):
        matrix = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]) + rng.normal(0, [[0.15, 0.15, 2], [0.15, 0.15, 2]])
        many[i] = cv2.warpAffine(images[i % len(images)], matrix, (SIZE, SIZE))
    start = time.process_time()
    groups = len(members(same_pictures(many)))
    _say(f"{MANY:,} images, whatever their class: {time.process_time() - start:.0f} s of processor time, {groups} groups")
    start = time.process_time()
    groups = len(members(duplicate_groups(many, np.resize(labels, MANY))))
    _say(f"{MANY:,} images, class by class: {time.process_time() - start:.0f} s of processor time, {groups} groups")


if __name__ == "__main__":
    main()
