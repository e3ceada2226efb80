"""The same life with the runs on an MLflow server, and the UI over an embedded store."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient
from tiny_study import environment, free_port, here, paths_of, processes_of, refused, started, wait_for

from ocr_sweep.sweep.trials.attempt import Attempt

pytestmark = pytest.mark.slow


def answers(address: str) -> bool:
    question = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search", b'{"max_results": 1}', {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(question, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


class Server:
    """An MLflow server that keeps its artifacts to itself: a client reaches them through it alone."""

    def __init__(self, kept: Path, remote: Path) -> None:
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self._root = kept.parent
        self._log = remote.with_name("server.log")
        self._command = [
            sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{kept}/mlflow.db",
            "--artifacts-destination", str(remote), "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        ]  # fmt: skip

    def start(self) -> None:
        settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=environment(self._root, **settings), stdout=log, stderr=log, start_new_session=True
            )
        wait_for(lambda: answers(self.address) or time.sleep(0.3), "the server to answer", 120)

    def kill(self) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@pytest.fixture
def mlflow_server(project: Callable[..., Path], tmp_path: Path) -> Iterator[Server]:
    server = Server(project("server") / "mlruns", tmp_path / "remote")
    server.start()
    yield server
    server.kill()


@pytest.fixture
def server(mlflow_server: Server) -> str:
    return mlflow_server.address


def test_a_study_on_a_tracking_server(project: Callable[..., Path], server: str, tmp_path: Path) -> None:
    root = project("client", trials=2)
    (root / "mlruns" / "mlflow.db").unlink()
    (root / "mlruns" / "artifacts").rmdir()
    settings = {"MLFLOW_TRACKING_URI": server}
    done = here(root, "sweep", "run", "tiny", **settings)
    assert done.code == 0, done.err
    run_id = re.search(r"^run +([0-9a-f]{32})", done.out, re.MULTILINE).group(1)  # type: ignore[union-attr]
    assert not (root / "mlruns" / "mlflow.db").exists() and not (root / "mlruns" / "artifacts").exists()
    assert len(list((tmp_path / "remote").rglob("model.onnx"))) == 4, "two trials and two confirmations"
    again = here(root, "sweep", "run", "tiny", **settings)
    assert again.code == 0 and run_id in again.out
    assert len(list((tmp_path / "remote").rglob("model.onnx"))) == 4
    promoted = here(root, "models", "promote", "--study", "tiny", **settings)
    assert promoted.code == 0 and run_id in promoted.out, promoted.err
    assert here(root, "models", "verify", **settings).code == 0
    elsewhere = tmp_path / "another checkout"
    (elsewhere / "sweeps").mkdir(parents=True)
    known = here(elsewhere, "models", "history", "ocr-tiny", **settings)
    assert known.code == 0 and "the gate passed" in known.out, known.err
    assert here(root, "runs", "compare", "--study", "tiny", **settings).code == 0
    refused(here(root, "ui", **settings), 5, "the runs are on a tracking server", server)
    looked = here(root, "doctor", "tiny", **settings)
    assert looked.code == 0 and "2 trials and 4 runs, all agree" in looked.out, looked.out
    for onnx in (tmp_path / "remote").rglob("model.onnx"):
        onnx.unlink()
    looked = here(root, "doctor", "tiny", "--json", **settings)
    assert looked.code == 3 and {one["invariant"] for one in json.loads(looked.out)["violations"]} == {"I5"}
    refused(here(root, "models", "promote", "--study", "tiny", **settings), 3, "cannot be promoted", "model/model.onnx")


def test_a_server_that_is_killed_for_a_while_costs_a_study_nothing(project: Callable[..., Path], mlflow_server: Server) -> None:
    long = {"trials": 1, "base__training__epochs": 4, "base__training__images_per_epoch": 1600}
    root = project("client", **long)
    events = Attempt(paths_of(root).work("tiny") / "0000-search").events
    with started(root, "sweep", "run", "tiny", MLFLOW_TRACKING_URI=mlflow_server.address) as process:
        wait_for(lambda: Attempt(paths_of(root).work("tiny") / "0000-search").events(), "the first epoch")
        mlflow_server.kill()
        wait_for(
            lambda: (paths_of(root).work("tiny") / "0000-search" / "outcome.json").exists(), "the training to end without it"
        )
        assert len(events()) == 4
        mlflow_server.start()
        out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    said = " ".join(out.split())
    assert said.count("it is tried again for 10 minutes") == 1 and said.count("recording goes on after") == 1
    client = MlflowClient(mlflow_server.address)
    runs = client.search_runs([client.get_experiment_by_name("tiny").experiment_id], "tags.`ocr_sweep.role` != 'summary'")
    assert [run.info.status for run in runs] == ["FINISHED"] * 2
    for run in runs:
        assert [point.step for point in client.get_metric_history(run.info.run_id, "epoch/train_loss")] == [1, 2, 3, 4]
        assert len(client.get_metric_history(run.info.run_id, "val/accuracy_macro")) == 1


def test_the_ui_answers_and_leaves_nobody_behind(finished: Path) -> None:
    port = free_port()
    with started(finished, "ui", "--port", str(port)) as process:
        assert process.stdout is not None
        first = process.stdout.readline()  # said when the UI answers, and not before
        link = process.stdout.readline()
        assert f"http://127.0.0.1:{port}" in first and answers(f"http://127.0.0.1:{port}")
        assert "tiny: " in link and "/#/experiments/" in link
        servers = children(process.pid)
        assert servers
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=30)[1]
        assert process.returncode == 0, err
        wait_for(lambda: not [group for group in servers if processes_of(group)], "the server's processes to end", 10)


def children(parent: int) -> list[int]:
    return [int(pid) for pid in Path(f"/proc/{parent}/task/{parent}/children").read_text().split()]
