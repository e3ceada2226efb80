"""How long a comparison page takes: two runs on 10,000 test images, and 200 runs, from the tracking store to the file.

Makes a project with a drawn corpus of 1,000 characters and as many runs as are asked for, each with predictions of 10,000
validation and 10,000 test images, curves and a configuration, as a study leaves them. Then it runs `runs compare` on two of
them, and on the study, whose 200 runs are 8 arms. Prints one JSON line; fails above 10 s and 30 s of processor time.

    .venv/bin/python benchmarks/comparison.py [--runs 200]
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from store_files import save_store  # type: ignore[import-not-found]  # noqa: E402

CLASSES, EACH, ARMS, EPOCHS = 1000, 10, 8, 30
LIMITS = {"two_runs": 10.0, "study": 30.0}  # seconds


def main() -> int:
    """Measure, print one JSON line, and fail above a limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=200)
    number = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "sweeps").mkdir()
        runs = make_runs(root, number)
        found = {
            "two_runs": compare(root, *runs[:2]),
            "study": compare(root, "--study", "compared"),
        }
    missed = [name for name, one in found.items() if one["processor_seconds"] > LIMITS[name]]
    print(json.dumps({"runs": number, **found, "limits": LIMITS, "missed": missed, "load": round(os.getloadavg()[0], 1)}))  # noqa: T201
    return 1 if missed else 0


def compare(root: Path, *arguments: str) -> dict[str, float]:
    """Run the command."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "ocr_sweep", "runs", "compare", *arguments]
    subprocess.run(command, env={**os.environ, "OCR_SWEEP_HOME": str(root)}, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    page = max((root / "reports").glob("*.html"), key=lambda path: path.stat().st_mtime)
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "processor_seconds": round(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, 1),
        "page_mb": round(page.stat().st_size / 1e6, 1),
    }


def make_runs(root: Path, number: int) -> list[str]:
    """A corpus and runs as a study leaves them; returns the runs' IDs."""
    from ocr_sweep.config.fingerprint import file_sha256
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.disk import write_bytes, write_json
    from ocr_sweep.export.predictions import Predictions
    from ocr_sweep.store import CorpusView, Source
    from ocr_sweep.sweep.trials.trial import numbers_of_record
    from ocr_sweep.tracking import record as tag
    from ocr_sweep.tracking.record import Outcome
    from ocr_sweep.tracking.tracker import Tracker

    paths = Paths.find({"OCR_SWEEP_HOME": str(root)})
    store = paths.corpora / ("c" * 64)
    store.mkdir(parents=True)
    rows = [(k, Source.RENDERED, 0, k) for k in range(CLASSES)]
    rows += [(k, Source.SCANNED, set_id, place) for set_id in (1, 2) for k in range(CLASSES) for place in range(EACH)]
    images = np.random.default_rng(0).integers(0, 256, size=(len(rows), 32, 32), dtype=np.uint8)
    chars = "".join(chr(0x4E00 + k) for k in range(CLASSES))
    save_store(store, images, rows, sets=["train", "val/book", "test/book"], recipe={"charset": {"chars": chars}}, name="c" * 64)
    view, tracker = CorpusView.open(store), Tracker.open(paths)
    experiment = tracker.experiment("compared", {tag.QUESTION: "Which of eight?", tag.CHOOSES_NOTHING: "true"})
    index = np.concatenate([view.indices("val"), view.indices("test")])
    label, set_id = view.class_ids[index], np.asarray(view.rows["set_id"][index])
    ids = []
    for run in range(number):
        rng, arm = np.random.default_rng(run), run % ARMS
        wrong = rng.random(len(index)) < 0.1 + 0.01 * arm
        first = np.where(wrong, rng.integers(0, CLASSES, len(index)), label)
        top5 = (first[:, None] + np.arange(5)) % CLASSES
        confidence = rng.uniform(0.3, 1.0, len(index)).astype(np.float32)
        predictions = Predictions(
            index, set_id, label, top5, np.full((len(index), 5), 0.2, np.float32), confidence, 1 - confidence
        )
        tags = {
            tag.STUDY: "compared", tag.TRIAL: str(arm), tag.ROLE: "search" if run < ARMS else "confirm", tag.ARM: f"arm{arm}",
            tag.CORPUS: view.fingerprint, tag.SIMULATED: "false",
        }  # fmt: skip
        params = {f"model.p{place}": arm if place < 5 else place for place in range(60)}
        name = f"compared-{run:04d}"
        run_id = tracker.begin(experiment, key=f"compared/{run}", name=name, tags=tags, params=params)
        for epoch in range(1, EPOCHS + 1):
            curve = {"epoch/train_loss": 3.0 / epoch, "epoch/val/accuracy_macro": 0.9 - 0.5 / epoch}
            tracker.log_metrics(run_id, curve, step=epoch, timestamp=1000 + epoch)
        result = root / "result"
        result.mkdir(exist_ok=True)
        write_bytes(result / "predictions.npz", predictions.to_bytes())
        metrics = {**numbers_of_record(view, predictions), "cost/parameters": 1e6, "cost/latency_ms": 1.0 + arm}
        tracker.log_metrics(run_id, metrics, timestamp=2000)
        hashes: dict[str, Any] = {"predictions.npz": file_sha256(result / "predictions.npz")}
        write_json(result / "manifest.json", {"metrics": metrics, "timestamp": 2000, "sha256": hashes})
        tracker.upload(run_id, result)
        tracker.finish(run_id, Outcome.COMPLETE)
        ids.append(run_id)
    return ids


if __name__ == "__main__":
    sys.exit(main())
