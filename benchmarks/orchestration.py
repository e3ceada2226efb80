"""What a study costs beside its bare training loops: supervisor, processes, MLflow, Optuna, export, scoring, pictures.

Runs the same trainings twice on this machine: as `ocr-sweep sweep run` in a new project, from the command's start to its
end, and as bare loops of the same trainer in a pool of as many processes as the study has slots, without any record.
Prints both and their ratio, which must stay at or below 1.10; and the ratio to the sum of the loops over the slots, which
no schedule reaches, because a training cannot be cut in two. The corpus is built before either.

    .venv/bin/python benchmarks/orchestration.py [--study unet_aug]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.running.machine import this_machine
from ocr_sweep.sweep.running.needs import Needs
from ocr_sweep.sweep.running.slots import num_slots
from ocr_sweep.sweep.trials.attempt import CONFIG, read_config
from ocr_sweep.tracking.tracker import Tracker

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
    parser.add_argument("--study", default="unet_aug")
    name = parser.parse_args().study
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(ROOT / "sweeps", Path(folder) / "sweeps")
        paths = Paths.find({"OCR_SWEEP_HOME": folder})
        study = load_study(paths.sweeps / f"{name}.yaml", paths.sweeps)
        _ocr_sweep(folder, "corpus", "build", study.base.corpus.name)
        began = time.perf_counter()
        _ocr_sweep(folder, "sweep", "run", name)
        study_seconds = time.perf_counter() - began
        slots = _slots(study)
        configs, store = _trained(name, paths)
        began = time.perf_counter()
        bare = _bare(configs, store, slots)
        pool_seconds = time.perf_counter() - began
    ratio = study_seconds / pool_seconds
    result = {
        "trainings": len(configs),
        "slots": slots,
        "study_seconds": round(study_seconds, 1),
        "bare_seconds_over_slots": round(sum(bare) / slots, 1),
        "bare_seconds_as_a_pool": round(pool_seconds, 1),
        "ratio": round(ratio, 3),
        "ratio_to_the_sum_over_slots": round(study_seconds / (sum(bare) / slots), 3),
        "limit": LIMIT,
        "cores": os.cpu_count(),
    }
    print(json.dumps(result))  # noqa: T201
    return 0 if ratio <= LIMIT else 1


def _slots(study: StudyConfig) -> int:
    """Trainings at a time, as the study runs them here."""
    needs = Needs(num_classes=0, count_cores=study.workers is None, gpu_share=study.gpu_share)
    machine = this_machine()
    return num_slots([machine], needs.of(study.base, on_gpus=bool(machine.gpus), with_memory=False), study.workers)


def _ocr_sweep(home: str, *arguments: str) -> None:
    environment = {**os.environ, "OCR_SWEEP_HOME": home}
    subprocess.run([sys.executable, "-m", "ocr_sweep", *arguments], env=environment, check=True, stdout=subprocess.DEVNULL)


def _trained(study: str, paths: Paths) -> tuple[list[TrialConfig], Path]:
    """The configurations of a study's runs, in the order of their starts, and the corpus that they read."""
    tracker = Tracker.open(paths)
    with tempfile.TemporaryDirectory() as folder:
        configs = [read_config(tracker.artifact(run.run_id, CONFIG, Path(folder))) for run in tracker.runs(study)]
    (store,) = (path for path in paths.corpora.iterdir() if path.is_dir())
    return configs, store


def _bare(configs: list[TrialConfig], store: Path, processes: int) -> list[float]:
    """Seconds of each bare loop, as many side by side as the study has slots."""
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        return pool.starmap(train_bare, [(config, store) for config in configs], chunksize=1)


if __name__ == "__main__":
    sys.exit(main())
