"""What a study costs beside its bare training loops: supervisor, processes, MLflow, Optuna, export, scoring, pictures.

Runs the same trials twice on this machine: as a study, and as bare loops of the same trainer in as many processes as the
study has slots, without any record. Prints both and their ratio, which must stay at or below 1.10.

    .venv/bin/python benchmarks/orchestration.py [--trials 6]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.board import SilentBoard
from ocr_sweep.sweep.corpora import open_corpus
from ocr_sweep.sweep.study_loop import run_study, slots

ROOT = Path(__file__).parents[1]
LIMIT = 1.10


class _Bare:
    """Watches nothing and never stops."""

    def epoch_done(self, epoch: int, metrics: dict[str, float]) -> None:
        """Nothing."""

    def should_stop(self) -> bool:
        """Never."""
        return False


def train_bare(config: TrialConfig, store: Path) -> float:
    """Train one configuration with nothing around it; seconds of the loop alone."""
    import cv2

    from ocr_sweep.store import CorpusView
    from ocr_sweep.training.trainer import Trainer

    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(config, CorpusView.open(store), Path(folder) / "checkpoint.pt")
        began = time.perf_counter()
        trainer.run(_Bare())
        return time.perf_counter() - began


def main() -> int:
    """Measure, print one JSON line, and fail above the limit."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=6)
    num_trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "sweeps", Path(folder) / "sweeps")
        paths = Paths.find({"OCR_SWEEP_HOME": folder})
        study = load_study(paths.sweeps / "unet_aug.yaml", paths.sweeps)
        confirm = study.confirm.model_copy(update={"top": 1, "seeds": 1})
        study = study.model_copy(update={"trials": num_trials, "confirm": confirm})
        view = open_corpus(study.base.corpus, paths, lambda *_: None)
        began = time.perf_counter()
        end = run_study(study, paths, SilentBoard())
        study_seconds = time.perf_counter() - began
        bare_seconds = _bare(study, [record.run_id for record in end.records], paths, view.path)
    result = {
        "trainings": len(end.records),
        "slots": slots(study),
        "study_seconds": round(study_seconds, 1),
        "bare_seconds_over_slots": round(bare_seconds, 1),
        "ratio": round(study_seconds / bare_seconds, 3),
        "limit": LIMIT,
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))  # noqa: T201
    return 0 if study_seconds <= LIMIT * bare_seconds else 1


def _bare(study: StudyConfig, run_ids: list[str], paths: Paths, store: Path) -> float:
    """Sum of the bare loops of the same trials, over the slots that worked side by side."""
    from ocr_sweep.sweep.attempt import CONFIG, read_config
    from ocr_sweep.tracking.tracker import Tracker

    tracker = Tracker.open(paths)
    configs = []
    with tempfile.TemporaryDirectory() as folder:
        configs = [read_config(tracker.artifact(run_id, CONFIG, Path(folder))) for run_id in run_ids]
    context = multiprocessing.get_context("spawn")
    with context.Pool(slots(study)) as pool:
        return sum(pool.starmap(train_bare, [(config, store) for config in configs], chunksize=1)) / slots(study)


if __name__ == "__main__":
    sys.exit(main())
