"""Servers on the loopback address, gone with their parent: the MLflow UI, and whatever else can be looked at in a browser."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import ConflictError, StoreError
from ocr_sweep.tracking.mlflow_client import connect, is_embedded, without_password
from ocr_sweep.tracking.ui_view import VIEW_TAG, link

HOST = "127.0.0.1"
_PATIENCE = 90.0  # seconds until the server must answer a real question


def serve(paths: Paths, port: int, ready: Callable[[str, dict[str, str]], None]) -> None:
    """Serve the MLflow UI until a signal comes.

    Args:
        ready: hears the address, and a link to the runs of each experiment, once the server answers.

    Raises:
        ConflictError: the port is in use, or the tracking store is a server with a UI of its own.
        StoreError: the server does not come up.
    """
    if not is_embedded(paths) and paths.tracking_uri.startswith("http"):
        raise ConflictError(f"the runs are on a tracking server; its UI is at {without_password(paths.tracking_uri)}")
    require_free(port, "ui")
    experiments = connect(paths).search_experiments()
    question = urllib.request.Request(  # out of the database: the health page answers before it is usable
        f"http://{HOST}:{port}/api/2.0/mlflow/experiments/search",
        data=b'{"max_results": 1}',
        headers={"Content-Type": "application/json"},
    )

    def answers(address: str) -> None:
        links = {e.name: link(address, e.experiment_id, shared=VIEW_TAG in e.tags) for e in experiments}
        ready(address, {name: link for name, link in links.items() if name != "Default"})

    serve_until_interrupted("MLflow", _command(paths, port), _environment(), paths.mlruns / "ui.log", question, answers)


def serve_until_interrupted(
    name: str,
    command: list[str],
    environment: dict[str, str],
    log: Path,
    question: urllib.request.Request,
    ready: Callable[[str], None],
) -> None:
    """Run a server in a process group of its own until a signal comes, then end all of it.

    Args:
        log: file for what it says.
        question: what it can answer once it is usable.
        ready: hears the address then.

    Raises:
        StoreError: it does not come up, or ends by itself.
    """
    with log.open("wb") as said:
        process = subprocess.Popen(command, env=environment, start_new_session=True, stdout=said, stderr=subprocess.STDOUT)
    stop = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        _wait_until_ready(name, process, question, log)
        ready(f"{question.type}://{question.host}")
        process.wait()
        raise StoreError(f"the {name} server ended by itself with exit code {process.returncode}; its words are in {log}")
    except KeyboardInterrupt:
        return
    finally:
        _end(process)
        for number, handler in stop.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def require_free(port: int, target: str) -> None:
    """Refuse a port that cannot be listened on.

    Args:
        target: of the Makefile; the message says how it takes another port.

    Raises:
        ConflictError: it is in use, or not for this user.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except PermissionError:
            raise ConflictError(
                f"port {port} may not be used by this user; write for example: make {target} PORT={port + 5000}"
            ) from None
        except OSError:
            raise ConflictError(
                f"port {port} is in use by another program; write for example: make {target} PORT={port + 1}"
            ) from None


def _command(paths: Paths, port: int) -> list[str]:
    return [
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", paths.tracking_uri,
        "--default-artifact-root", paths.artifacts.as_uri(),
        "--host", HOST, "--port", str(port), "--workers", "1",
        "--allowed-hosts", f"{HOST}:{port},localhost:{port}",
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _wait_until_ready(name: str, process: subprocess.Popen[bytes], question: urllib.request.Request, log: Path) -> None:
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StoreError(f"the {name} server did not start: exit code {process.returncode}; its words are in {log}")
        try:
            with urllib.request.urlopen(question, timeout=10) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise StoreError(f"the {name} server did not answer within {_PATIENCE:.0f} s; its words are in {log}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the server with all its children, which would outlive it otherwise."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            return
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            continue
