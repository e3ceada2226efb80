"""What doctor costs: every invariant of a study with 100 trials, with and without reading the artifacts' bytes.

    .venv/bin/python benchmarks/doctor.py [--trials 100]

The study is one whose trials do not train (see `fault_worlds.py`), three epochs each, with a confirmation. Measured are
processor seconds of `examine` in a process that has imported it, and of the whole command `ocr-sweep doctor tiny --quick`;
reading the same rows by the plain clients, `optuna.load_study` and `MlflowClient.search_runs` with the curves, is the
reference. Limits: one second for 100 trials without hashing, and less than the clients. Prints one JSON line.
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
from collections.abc import Callable
from pathlib import Path
from typing import Any

import fault_worlds
import optuna
from fault_worlds import Log, paths_of, run, settle, tiny_study
from mlflow import MlflowClient

from ocr_sweep.doctor.examine import examine

_LIMIT = 1.0  # processor seconds for 100 trials
_CURVES = ("epoch/train_loss", "epoch/val/accuracy_macro")


def processor_seconds(work: Callable[[], Any], times: int = 5) -> float:
    """The least of several turns, of this process and its children."""
    return min(_once(work) for _ in range(times))


def _once(work: Callable[[], Any]) -> float:
    before = time.process_time() + _of_children()
    work()
    return time.process_time() + _of_children() - before


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def by_the_clients(root: Path) -> int:
    """Read what doctor reads, as a script with the two libraries would; returns the number of points."""
    paths = paths_of(root)
    study = optuna.load_study(study_name="tiny", storage=paths.optuna_url)
    client = MlflowClient(paths.tracking_uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()], max_results=5000)
    points = sum(len(client.get_metric_history(one.info.run_id, name)) for one in runs for name in _CURVES)
    return points + len(study.trials)


def main() -> int:
    """Measure, print one JSON line, and fail above the limits."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--trials", type=int, default=100)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory(prefix="doctor-") as name:
        folder = Path(name)
        log = Log(folder)
        root = log.begin("study")
        fault_worlds.SECONDS_PER_EPOCH = 0.0
        tiny_study.new_project(root, folder, trials=trials, base__training__epochs=3)
        settle(log, train=False)
        run(root)
        assert examine(paths_of(root)).violations == ()
        command = [sys.executable, "-m", "ocr_sweep", "doctor", "tiny", "--quick"]
        environment = {**os.environ, "OCR_SWEEP_HOME": str(root)}
        found = {
            "trials": trials,
            "quick": processor_seconds(lambda: examine(paths_of(root), quick=True)),
            "with_bytes": processor_seconds(lambda: examine(paths_of(root))),
            "command": processor_seconds(lambda: subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)),
            "by_the_clients": processor_seconds(lambda: by_the_clients(root)),
        }
    print(json.dumps({key: round(value, 3) for key, value in found.items()}))  # noqa: T201
    return 0 if found["quick"] <= _LIMIT * max(1, trials / 100) and found["quick"] < found["by_the_clients"] else 1


if __name__ == "__main__":
    sys.exit(main())
