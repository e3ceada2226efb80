"""What an outage of the stores costs: the databases locked for a minute, and the tracking server killed for a minute.

Runs a study of small real trainings twice in new projects over one corpus. After the first epoch of the first training
another connection locks Optuna's and MLflow's databases for 60 s; in the second project an MLflow server is killed, and
started again 60 s later. Prints one JSON line for each with the failed trials, the epochs that are missing or stored twice,
and the median seconds of an epoch during the outage and at other times. Fails when a trial failed, an epoch is missing or
stored twice, or when epochs are slower by more than 5 % during the outage (the last only on a machine with nothing else to do:
a load below its cores before the start).

    .venv/bin/python benchmarks/outage.py [--seconds 60]
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import signal
import socket
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import optuna

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.stored.corpora import open_corpus
from ocr_sweep.sweep.study_loop import run_study
from ocr_sweep.sweep.watching.board import SilentBoard
from ocr_sweep.tracking.tracker import Tracker

ROOT = Path(__file__).parents[1]
MOST_SLOWER = 1.05
TRIALS, EPOCHS, IMAGES = 3, 20, 500


def study(name: str) -> StudyConfig:
    """A few trainings of small epochs, one at a time."""
    shipped = load_study(ROOT / "sweeps" / "unet_aug.yaml", ROOT / "sweeps").model_dump()
    shipped["base"]["model"] |= {"decoder": False, "reconstruction_weight": 0.0}
    shipped["base"]["training"] |= {"epochs": EPOCHS, "images_per_epoch": IMAGES}
    search = {"loss.label_smoothing": shipped["search"]["loss.label_smoothing"]}
    confirm = {"top": 1, "seeds": 1}
    return StudyConfig.model_validate(
        {**shipped, "name": name, "workers": 1, "trials": TRIALS, "search": search, "confirm": confirm}
    )


class Server:
    """An MLflow server on this machine."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        self.address = f"http://127.0.0.1:{port}"
        self._command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder}/server.db",
            "--artifacts-destination", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        ]  # fmt: skip

    def start(self) -> None:
        """Start it, and wait until it answers."""
        environ = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        nowhere = subprocess.DEVNULL
        self._process = subprocess.Popen(self._command, env=environ, stdout=nowhere, stderr=nowhere, start_new_session=True)
        while not self._answers():
            time.sleep(0.3)

    def kill(self) -> None:
        """End it and its children at once."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def _answers(self) -> bool:
        question = urllib.request.Request(
            f"{self.address}/api/2.0/mlflow/experiments/search", b'{"max_results": 1}', {"Content-Type": "application/json"}
        )
        with suppress(OSError), urllib.request.urlopen(question, timeout=5) as answer:
            return bool(answer.status == 200)
        return False


class FirstEpoch(SilentBoard):
    """Says when the first epoch has been recorded, and notes what else is said."""

    def __init__(self) -> None:
        self.came = threading.Event()
        self.said: list[str] = []

    def epoch(self, job: object, epoch: int, metrics: dict[str, float]) -> None:
        """Let the outage begin."""
        self.came.set()

    def say(self, message: str) -> None:
        """Note it."""
        self.said.append(message)


def lock_databases(paths: Paths, seconds: float) -> None:
    """Hold both databases for so long."""
    first, second = (sqlite3.connect(paths.mlruns / name, timeout=60) for name in ("optuna.db", "mlflow.db"))
    with closing(first), closing(second):
        first.execute("BEGIN EXCLUSIVE")
        second.execute("BEGIN EXCLUSIVE")
        time.sleep(seconds)


def restart(server: Server, seconds: float) -> None:
    """Kill a server, and start it again after so long."""
    server.kill()
    time.sleep(seconds)
    server.start()


def measure(name: str, paths: Paths, outage: Callable[[], None]) -> dict[str, object]:
    """Run a study with an outage after its first epoch; what became of it."""
    board, span = FirstEpoch(), [0.0, 0.0]

    def disturb() -> None:
        board.came.wait()
        span[0] = time.time()
        outage()
        span[1] = time.time()

    threading.Thread(target=disturb, daemon=True).start()
    run_study(study(name), paths, board)
    storage = optuna.storages.RDBStorage(paths.optuna_url)
    states = Counter(trial.state.name for trial in optuna.load_study(study_name=name, storage=storage).trials)
    tracker = Tracker.open(paths)
    wrong, inside, outside = 0, list[float](), list[float]()
    for record in tracker.runs(name):
        points = tracker.client.get_metric_history(record.run_id, "epoch/train_loss")
        wrong += [point.step for point in points] != list(range(1, EPOCHS + 1))
        for former, point in itertools.pairwise(points):
            during = span[0] <= former.timestamp / 1000 and point.timestamp / 1000 <= span[1]
            (inside if during else outside).append((point.timestamp - former.timestamp) / 1000)
    slower = statistics.median(inside) / statistics.median(outside)
    return {
        "outage": name,
        "seconds": round(span[1] - span[0], 1),
        "trials": dict(states),
        "runs_with_a_wrong_curve": wrong,
        "epochs_during_the_outage": len(inside),
        "epoch_seconds_during_of_otherwise": round(slower, 3),
        "said": board.said,
        "passed": states == {"COMPLETE": TRIALS} and wrong == 0,
        "slow": slower > MOST_SLOWER,
    }


def project(folder: Path) -> Paths:
    """A new project with the shipped studies."""
    shutil.copytree(ROOT / "sweeps", folder / "sweeps")
    (folder / "mlruns").mkdir()
    return Paths.find({"OCR_SWEEP_HOME": str(folder)})


def main() -> int:
    """Measure both, print a line each, and fail when a limit is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=60.0, help="of each outage")
    seconds = parser.parse_args().seconds
    load, found = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as name:
        local, remote = project(Path(name) / "local"), project(Path(name) / "remote")
        corpora = open_corpus(study("corpus").base.corpus, local, lambda what, done, total: None).path.parent
        remote.corpora.symlink_to(corpora)
        found.append(measure("databases_locked", local, lambda: lock_databases(local, seconds)))
        server = Server(Path(name))
        server.start()
        remote = replace(remote, tracking_uri=server.address)
        found.append(measure("server_away", remote, lambda: restart(server, seconds)))
        server.kill()
    for line in found:
        print(json.dumps({**line, "load_before": round(load, 1)}))  # noqa: T201
    calm = load < len(os.sched_getaffinity(0))
    return 0 if all(line["passed"] and not (calm and line["slow"]) for line in found) else 1


if __name__ == "__main__":
    sys.exit(main())
