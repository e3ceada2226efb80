"""The same life with the runs on an MLflow server, and the UI over an embedded store."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tiny_study import environment, here, processes_of, refused, started, wait_for

pytestmark = pytest.mark.slow


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def answers(address: str) -> bool:
    question = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search", b'{"max_results": 1}', {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(question, timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def server(project: Callable[..., Path], tmp_path: Path) -> Iterator[str]:
    """A server that keeps its artifacts to itself: a client reaches them through it alone."""
    kept, port = project("server") / "mlruns", free_port()
    command = [
        sys.executable, "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{kept}/mlflow.db",
        "--artifacts-destination", str(tmp_path / "remote"), "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
    ]  # fmt: skip
    settings = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment(kept.parent, **settings), stdout=log, stderr=log, start_new_session=True
        )
        try:
            address = f"http://127.0.0.1:{port}"
            wait_for(lambda: answers(address) or time.sleep(0.3), "the server to answer", 120)
            yield address
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


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
