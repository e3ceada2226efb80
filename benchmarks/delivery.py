"""What a delivered file does beside PyTorch: speed, size, variants, and the preparation of real scans.

Trains the base of a study once (as its trial 0 would), seals it, and measures that file on one core:

- milliseconds of a batch of 1 and of 64, by processor time and by turns: the file by onnxruntime on squares, PyTorch eager,
  PyTorch compiled, and the file on pictures, which it prepares itself, beside the corpus's own preparation;
- the scans of validation and test, read from their files by `Recogniser` (OpenCV decodes, the graph prepares) beside the stored
  squares (Pillow decodes, the corpus prepares): how many are read alike, and the largest difference of a pixel;
- bytes, accuracy and time of the fp16 and the int8 variant.

Prints one JSON line for each part. Fails when onnxruntime is slower than PyTorch eager, or when less than 99.5 % of the scans are
read alike.

    OCR_SWEEP_DATA=/path/to/data .venv/bin/python benchmarks/delivery.py [--study handwriting] [--epochs 14] [--work FOLDER]

With `--work` the training is kept there, and the same command goes on with it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file
from torch import nn

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.corpus.glyphs import normalise_ink
from ocr_sweep.corpus.pictures import read_gray
from ocr_sweep.corpus.scans import list_source
from ocr_sweep.delivery import Recogniser, read_picture
from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.delivery.session import Network
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.export.variants import KINDS, write_variant
from ocr_sweep.models import build_model, replace_head
from ocr_sweep.store import CorpusView, resized
from ocr_sweep.sweep.stored.corpora import open_corpus
from ocr_sweep.sweep.trials.attempt import ONNX, WEIGHTS, Attempt
from ocr_sweep.sweep.trials.trial import seal_results
from ocr_sweep.training.train import Files, train

ROOT = Path(__file__).parents[1]
ALIKE = 0.995
ROUNDS = 15


class _Bare:
    """Watches nothing and never stops."""

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        """Nothing."""

    def should_stop(self) -> bool:
        """Never."""
        return False


def sealed(config: TrialConfig, view: CorpusView, folder: Path) -> tuple[Path, nn.Module]:
    """Train, seal, and return the file and its network."""
    attempt = Attempt(folder)
    attempt.prepare(config, view.path, {"code": {"sha256": ""}})
    finished = train(config, view, Files(attempt.checkpoint, attempt.classifier_checkpoint), _Bare())
    assert finished is not None
    seal_results(attempt, config, view, finished)
    model = build_model(config.model, view.num_classes, config.image_size)
    replace_head(model, config.classifier)
    model.load_state_dict(load_file(attempt.result / WEIGHTS))
    return attempt.result / ONNX, model.eval()


def times(calls: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median milliseconds of processor time of each call, by turns."""
    taken: dict[str, list[float]] = {name: [] for name in calls}
    for number in range(ROUNDS + 3):
        for name, call in calls.items():
            began = time.process_time()
            call()
            if number >= 3:
                taken[name].append(1000 * (time.process_time() - began))
    return {name: round(statistics.median(values), 3) for name, values in taken.items()}


def speed(path: Path, model: nn.Module, view: CorpusView, scans: Sequence[Path], batch: int) -> dict[str, float]:
    """Milliseconds of a batch."""
    scorer, network = Scorer(path, threads=1), Network(ModelFile.read(path), threads=1)
    squares = resized(view.images[view.indices("val")[:batch]], scorer.image_size)
    side = 80
    pictures = np.stack([cv2.resize(gray_of(scan), (side, side), interpolation=cv2.INTER_AREA) for scan in scans[:batch]])
    tensor = torch.from_numpy(squares)[:, None].float() / 255
    compiled = torch.compile(model)

    @torch.inference_mode()
    def run(network: Callable[[torch.Tensor], Any], images: torch.Tensor) -> object:
        return network(images).logits

    return times(
        {
            "onnxruntime": lambda: scorer.logits(squares),
            "eager": lambda: run(model, tensor),
            "eager, channels last": lambda: run(model, tensor.contiguous(memory_format=torch.channels_last)),
            "compiled": lambda: run(compiled, tensor),
            "onnxruntime, pictures of 80 pixels": lambda: network.of_pictures(pictures[..., None]),
            "preparation in Python and OpenCV": lambda: [
                normalise_ink(read_gray(picture.astype(np.float32)), view.images.shape[1]) for picture in pictures
            ],
        }
    )


def gray_of(scan: Path) -> NDArray[np.uint8]:
    """A picture's gray levels, as a file of one channel has them."""
    return np.asarray(cv2.imread(str(scan), cv2.IMREAD_GRAYSCALE), np.uint8)


def agreement(path: Path, view: CorpusView, places: dict[str, Path]) -> dict[str, Any]:
    """Scans of val and test from their files beside their stored squares."""
    recogniser, scorer = Recogniser.open(path), Scorer(path, threads=1)
    network = Network(ModelFile.read(path), threads=1)
    index = np.concatenate([view.indices("val"), view.indices("test")])
    index = np.array([i for i in index if view.names[i] in places])
    logits = scorer.corpus_logits(view, index)
    read = recogniser.read([places[view.names[i]] for i in index])
    came = [reading.top[0][0] if reading.top else "" for reading in read]
    expected = [view.chars[k] for k in logits.argmax(axis=1)]
    right = [view.chars[k] for k in view.class_ids[index]]
    levels = []
    for i in index:
        _, ink = network.of_pictures(read_picture(places[view.names[i]])[None])
        levels.append(int(np.abs(ink[0].astype(int) - resized(view.images[i : i + 1], scorer.image_size)[0]).max()))
    known = [reading for reading in read if reading.char is not None]
    return {
        "scans": len(index),
        "read alike": round(float(np.mean([a == b for a, b in zip(came, expected, strict=True)])), 5),
        "largest difference of a pixel": max(levels),
        "scans with more than 2 levels": sum(level > 2 for level in levels),
        "right from files": round(float(np.mean([a == b for a, b in zip(came, right, strict=True)])), 5),
        "right from squares": round(float(np.mean([a == b for a, b in zip(expected, right, strict=True)])), 5),
        "answered": round(len(known) / len(read), 4),
        "right of the answered": round(
            float(np.mean([reading.char == char for reading, char in zip(read, right, strict=True) if reading.char])), 5
        ),
    }


def variants(path: Path, view: CorpusView, folder: Path) -> list[dict[str, Any]]:
    """Bytes, times and accuracies of the file and its variants."""
    source = ModelFile.read(path)
    train_indices = view.indices("train")
    chosen = np.linspace(0, len(train_indices) - 1, min(512, len(train_indices))).astype(np.int64)
    calibration = resized(view.images[train_indices[chosen]], source.image_size)
    files: dict[str, Path] = {"fp32": path}
    for kind in KINDS:
        files[kind] = folder / f"model.{kind}.onnx"
        write_variant(source, files[kind], kind, calibration)
    scorers = {kind: Scorer(file, threads=1) for kind, file in files.items()}
    squares = resized(view.images[train_indices[:64]], source.image_size)
    one = times({kind: lambda scorer=scorer: scorer.logits(squares[:1]) for kind, scorer in scorers.items()})  # type: ignore[misc]
    many = times({kind: lambda scorer=scorer: scorer.logits(squares) for kind, scorer in scorers.items()})  # type: ignore[misc]
    rows, first = [], None
    for name, scorer in scorers.items():
        predictions = Predictions.of(scorer, view)
        first = predictions if first is None else first
        row: dict[str, Any] = {"kind": name, "bytes": files[name].stat().st_size, "ms": one[name], "ms of 64": many[name]}
        for split in ("val", "test"):
            rows_of_split = predictions.of_set(split, view)
            row[split] = round(float((predictions.top5[rows_of_split, 0] == predictions.label[rows_of_split]).mean()), 5)
        row["read otherwise"] = int((predictions.top5[:, 0] != first.top5[:, 0]).sum())
        rows.append(row)
    return rows


def main() -> int:
    """Measure, print, and fail above a limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--study", default="handwriting")
    parser.add_argument("--epochs", type=int, default=14)
    parser.add_argument("--work", type=Path)
    wanted = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = wanted.work or Path(name)
        paths = Paths.find({**os.environ, "OCR_SWEEP_HOME": str(ROOT)})
        base = load_study(paths.sweeps / f"{wanted.study}.yaml", paths.sweeps).base
        training = base.training.model_copy(update={"epochs": wanted.epochs, "threads": 1})
        config = base.model_copy(update={"training": training})
        view = open_corpus(config.corpus, paths, lambda what, done, total: None)
        path, model = sealed(config, view, folder / "trial")
        places = _places(config, paths)
        scans = [places[view.names[i]] for i in view.indices("val") if view.names[i] in places]
        ratios = []
        for batch in (1, 64):
            taken = speed(path, model, view, scans, batch)
            ratios.append(taken["onnxruntime"] / min(taken["eager"], taken["eager, channels last"]))
            _print({"batch": batch, "ms": taken, "of eager": round(ratios[-1], 3)})
        alike = agreement(path, view, places)
        _print(alike)
        for row in variants(path, view, folder):
            _print(row)
        _print({"cores": os.cpu_count(), "epochs": wanted.epochs, "classes": view.num_classes})
    return 0 if max(ratios) <= 1 and alike["read alike"] >= ALIKE else 1


def _places(config: TrialConfig, paths: Paths) -> dict[str, Path]:
    """The file of each scan, by the name that the corpus gives it."""
    sources = {
        block.name: list_source(block, config.corpus.charset.chars, data_root=paths.data, cache=paths.cache)
        for block in config.corpus.scanned
    }
    return {f"{name}/{scan.file}": scan.path for name, source in sources.items() for scan in source.scans}


def _print(values: dict[str, Any]) -> None:
    print(json.dumps(values, ensure_ascii=False), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main())
