"""A delivered file in half precision and in whole numbers, each judged like the file that it comes from."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.delivery.model_file import ModelFile
from ocr_sweep.disk import store_errors
from ocr_sweep.errors import NotFoundError
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.export.scorer import Scorer
from ocr_sweep.export.variants import Kind, write_variant
from ocr_sweep.metrics import accuracy, macro_accuracy
from ocr_sweep.registry.model_file import fetch_onnx, find_version
from ocr_sweep.registry.register import require_complete
from ocr_sweep.store import CorpusView, resized
from ocr_sweep.sweep.stored.corpora import CorpusProgress, corpus_of_run
from ocr_sweep.sweep.trials.attempt import CONFIG, ONNX, read_config
from ocr_sweep.sweep.trials.sealing import acceptance_metrics, acceptance_of, describe
from ocr_sweep.sweep.trials.trial import numbers_of_record
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.test_readings import read_test
from ocr_sweep.tracking.tracker import Tracker

RECORD = "variants.json"
_CALIBRATION = 512  # training images
_THREADS = 1  # at which latency is measured
_LARGE = 64
_SHOWN = 5


@dataclass(frozen=True)
class Judged:
    """A file and its numbers."""

    kind: str  # fp32, fp16 or int8
    file: str
    sha256: str
    num_bytes: int
    latency_ms: float  # of one square, one thread
    latency_large_ms: float  # of a batch of 64
    accuracy: dict[str, float]  # of val and test, plain and by class: "val", "val_macro", "test", "test_macro"
    flips: int  # images of val and test with another first class than fp32's
    worse: tuple[str, ...]  # the characters that lost most right answers, as "日 3"

    def as_dict(self) -> dict[str, object]:
        """Plain data for a record."""
        return asdict(self)


def make_variants(
    name: str, kinds: Sequence[Kind], paths: Paths, out: Path, progress: CorpusProgress, hear: Callable[[Judged], None]
) -> list[Judged]:
    """Write a run's or a registered model's variants to a folder, and judge them and their source on val and test.

    The numbers are recorded beside the run.

    Args:
        name: a run's ID, or a model as `registry.model_file.find_version` takes it.
        hear: gets each file's numbers as soon as they are known, the source's first.

    Raises:
        NotFoundError: there is no such run or model.
        EvidenceError: the run is not complete, or its corpus can no longer be built as it was.
    """
    tracker = Tracker.open(paths)
    with TemporaryDirectory(prefix="ocr-sweep-") as folder:
        record, source = _source(tracker, name, Path(folder))
        config = read_config(tracker.artifact(record.run_id, CONFIG, Path(folder)))
    view = corpus_of_run(record, config, paths, progress)
    read_test(tracker, [record], "variants")
    with store_errors(f"creating {out}"):
        out.mkdir(parents=True, exist_ok=True)
    judge = _Judge(view, config, record)
    judged = [judge.source(source, out / f"{record.name}.onnx")]
    hear(judged[0])
    for kind in kinds:
        path = out / f"{record.name}.{kind}.onnx"
        write_variant(source, path, kind, judge.calibration())
        judged.append(judge.variant(path, kind))
        hear(judged[-1])
    tracker.upload_text(record.run_id, json.dumps([one.as_dict() for one in judged], ensure_ascii=False, indent=1), RECORD)
    return judged


def _source(tracker: Tracker, name: str, folder: Path) -> tuple[RunRecord, ModelFile]:
    try:
        record = tracker.run(name)
    except NotFoundError:
        version = find_version(tracker, name)
        return tracker.run(version.run_id), ModelFile.read(fetch_onnx(tracker, version, folder), version.onnx_sha256)
    require_complete(record)
    return record, ModelFile.read(tracker.artifact(name, ONNX, folder), record.tags[tag.ONNX_SHA256])


class _Judge:
    """Judges files on the validation and test images of one corpus."""

    def __init__(self, view: CorpusView, config: TrialConfig, record: RunRecord) -> None:
        self._view, self._config, self._record = view, config, record
        self._first: Predictions | None = None  # fp32's

    def calibration(self) -> NDArray[np.uint8]:
        """Training squares of the network's size, from all over the training set."""
        train = self._view.indices("train")
        chosen = np.linspace(0, len(train) - 1, min(_CALIBRATION, len(train))).astype(np.int64)
        return resized(self._view.images[train[chosen]], self._config.image_size)

    def source(self, source: ModelFile, path: Path) -> Judged:
        """The file of record, which is not written again."""
        with TemporaryDirectory(prefix="ocr-sweep-") as folder:
            copy = Path(folder) / path.name
            copy.write_bytes(source.content)
            return self._judged(copy, "fp32")[0]

    def variant(self, path: Path, kind: Kind) -> Judged:
        """A new file, which gets a temperature, threshold and card of its own."""
        judged, predictions = self._judged(path, kind)
        acceptance = acceptance_of(predictions, self._view)
        metrics = {
            **numbers_of_record(self._view, predictions),
            **acceptance_metrics(predictions, self._view, acceptance),
            "cost/parameters": self._record.metrics["cost/parameters"],
        }
        describe(path, self._config, self._view, predictions, acceptance, metrics)
        return Judged(**{**vars(judged), "sha256": file_sha256(path), "num_bytes": path.stat().st_size})

    def _judged(self, path: Path, kind: str) -> tuple[Judged, Predictions]:
        scorer = Scorer(path, threads=_THREADS)
        predictions = Predictions.of(scorer, self._view)
        first = self._first = self._first or predictions
        judged = Judged(
            kind=kind,
            file=path.name,
            sha256=file_sha256(path),
            num_bytes=path.stat().st_size,
            latency_ms=scorer.latency_ms(),
            latency_large_ms=scorer.latency_ms(_LARGE),
            accuracy=self._accuracy(predictions),
            flips=int((predictions.top5[:, 0] != first.top5[:, 0]).sum()),
            worse=self._worse(first, predictions),
        )
        return judged, predictions

    def _accuracy(self, predictions: Predictions) -> dict[str, float]:
        numbers: dict[str, float] = {}
        for split in ("val", "test"):
            rows = predictions.of_set(split, self._view)
            label, came = predictions.label[rows], predictions.top5[rows, 0]
            numbers |= {split: accuracy(label, came), f"{split}_macro": macro_accuracy(label, came)}
        return numbers

    def _worse(self, first: Predictions, now: Predictions) -> tuple[str, ...]:
        right, still = (predictions.top5[:, 0] == predictions.label for predictions in (first, now))
        lost = Counter(first.label[right & ~still].tolist())
        lost.subtract(first.label[~right & still].tolist())
        return tuple(f"{self._view.chars[k]} {count}" for k, count in lost.most_common(_SHOWN) if count > 0)
