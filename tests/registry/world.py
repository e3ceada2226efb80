"""A corpus that only counts, and versions that answer on it as a test tells them: for the gate no pixel matters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from store_files import save_store

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.disk import read_json, write_json
from ocr_sweep.export.predictions import Predictions
from ocr_sweep.registry.evidence import ONNX, PREDICTIONS, Evidence
from ocr_sweep.registry.pairs import Answers, Pairs
from ocr_sweep.store import CorpusView, Source
from ocr_sweep.tracking.record import RunRecord

CHARS = "".join(chr(0x4E00 + i) for i in range(60))  # 20 unseen, 20 few, 20 medium
_SCANS = (0, 5, 25)  # in training, of each class of a group
SETS = ["train", "val/book", "test/book", "test/worn"]
PER_CLASS = {"test/book": 100, "test/worn": 2}


def make_corpus(folder: Path, chars: str = CHARS, name: str = "world", shift: int = 0) -> CorpusView:
    """Write the corpus; `shift` lets its images have other numbers, and so other names."""
    folder.mkdir()
    rows = [(0, int(Source.RENDERED), 0, i) for i in range(shift)]
    for class_id in range(len(chars)):
        rows.append((class_id, int(Source.RENDERED), 0, len(rows)))
        rows += [(class_id, int(Source.SCANNED), 0, len(rows) + i) for i in range(_SCANS[class_id * 3 // len(chars)])]
        for set_name, count in (("val/book", 1), *PER_CLASS.items()):
            rows += [(class_id, int(Source.SCANNED), SETS.index(set_name), len(rows) + i) for i in range(count)]
    recipe = {"charset": {"chars": chars}, "folds": 0, "scanned_per_class": 50}
    save_store(folder, np.zeros((len(rows), 2, 2), np.uint8), rows, sets=SETS, recipe=recipe, name=name)
    write_json(folder / "manifest.json", {**read_json(folder / "manifest.json"), "simulated_font_shared": True})
    return CorpusView.open(folder)


def answers(view: CorpusView, right: NDArray[np.bool_] | bool = True) -> Answers:
    """Answers on the test images."""
    index = view.indices("test")
    said = np.broadcast_to(np.asarray(right), len(index)).copy()
    return Answers(index, view.class_ids[index], np.asarray(view.rows["set_id"][index], np.int64), index, said)


def pairs_of(view: CorpusView, candidate: NDArray[np.bool_] | bool, rival: NDArray[np.bool_] | bool) -> Pairs:
    """Two versions of one charset."""
    mine = answers(view, candidate)
    return Pairs(mine, answers(view, rival).right, 0, True, "", "")


def run(
    folder: Path, view: CorpusView, right: NDArray[np.bool_] | bool = True, *, run_id: str = "r", wrong_by: int = 1
) -> Evidence:
    """A run with predictions, which says the class `wrong_by` further on where it is wrong."""
    folder.mkdir()
    index = np.concatenate([view.indices("val"), view.indices("test")])
    label = view.class_ids[index]
    said = np.concatenate([np.ones(len(view.indices("val")), bool), answers(view, right).right])
    first = np.where(said, label, (label + wrong_by) % view.num_classes)
    top5 = (first[:, None] + np.arange(5)) % view.num_classes
    prob5 = np.tile(np.array([0.6, 0.2, 0.1, 0.05, 0.05], np.float32), (len(index), 1))
    predictions = Predictions(index, np.asarray(view.rows["set_id"][index]), label, top5.astype(np.int64), prob5)
    (folder / "predictions.npz").write_bytes(predictions.to_bytes())
    (folder / "model.onnx").write_bytes(run_id.encode())
    places = {PREDICTIONS: folder / "predictions.npz", ONNX: folder / "model.onnx"}
    record = RunRecord(run_id, f"run-{run_id}", "FINISHED", {"ocr_sweep.corpus": view.fingerprint}, {}, {})
    found = Evidence(record, {name: file_sha256(path) for name, path in places.items()}, places)
    object.__setattr__(found, "config", _Config())
    return found


class _Config:
    """What `pairs` asks of a configuration."""

    class training:
        threads = 1


class FakeScorer:
    """An ONNX file that reads a test image as a table tells it."""

    tables: ClassVar[dict[str, NDArray[np.int64]]] = {}  # class by image number, for each file by its content

    def __init__(self, path: Path, *, threads: int) -> None:
        self._said = self.tables[path.read_text()]

    def corpus_logits(self, view: CorpusView, indices: Sequence[int]) -> NDArray[np.float32]:
        """(N, K) logits."""
        return np.eye(int(self._said.max()) + 1, dtype=np.float32)[self._said[indices]]
