"""The MLflow UI: on the loopback address, as few processes as it can do with, gone with its parent."""

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

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import ConflictError, StoreError
from ocr_sweep.tracking.mlflow_client import connect, is_embedded, without_password

_HOST = "127.0.0.1"
_PATIENCE = 90.0  # seconds until the server must answer a real question


def serve(paths: Paths, port: int, ready: Callable[[str, dict[str, str]], None]) -> None:
    """Serve until a signal comes.

    Args:
        ready: hears the address, and a link to the runs of each experiment, once the server answers.

    Raises:
        ConflictError: the port is in use, or the tracking store is a server with a UI of its own.
        StoreError: the server does not come up.
    """
    if not is_embedded(paths) and paths.tracking_uri.startswith("http"):
        raise ConflictError(f"the runs are on a tracking server; its UI is at {without_password(paths.tracking_uri)}")
    _require_free(port)
    experiments = connect(paths).search_experiments()
    with (paths.mlruns / "ui.log").open("wb") as log:
        process = subprocess.Popen(
            _command(paths, port), env=_environment(), start_new_session=True, stdout=log, stderr=subprocess.STDOUT
        )
    stop = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        address = f"http://{_HOST}:{port}"
        _wait_until_ready(process, address)
        links = {e.name: f"{address}/#/experiments/{e.experiment_id}/runs?workflowType=machine_learning" for e in experiments}
        ready(address, {name: link for name, link in links.items() if name != "Default"})
        process.wait()
        raise StoreError(f"the MLflow server ended by itself with exit code {process.returncode}")
    except KeyboardInterrupt:
        return
    finally:
        _end(process)
        for number, handler in stop.items():
            signal.signal(number, handler)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _require_free(port: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((_HOST, port))
        except PermissionError:
            raise ConflictError(
                f"port {port} may not be used by this user; write for example: make ui PORT={port + 5000}"
            ) from None
        except OSError:
            raise ConflictError(f"port {port} is in use by another program; write for example: make ui PORT={port + 1}") from None


def _command(paths: Paths, port: int) -> list[str]:
    return [
        sys.executable, "-m", "mlflow", "server",
        "--backend-store-uri", paths.tracking_uri,
        "--default-artifact-root", paths.artifacts.as_uri(),
        "--host", _HOST, "--port", str(port), "--workers", "1",
        "--allowed-hosts", f"{_HOST}:{port},localhost:{port}",
    ]  # fmt: skip


def _environment() -> dict[str, str]:
    return {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}


def _wait_until_ready(process: subprocess.Popen[bytes], address: str) -> None:
    """Wait for an answer out of the database: the health page answers before it is usable."""
    question = urllib.request.Request(
        f"{address}/api/2.0/mlflow/experiments/search", data=b'{"max_results": 1}', headers={"Content-Type": "application/json"}
    )
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StoreError(f"the MLflow server did not start: exit code {process.returncode}; its words are in mlruns/ui.log")
        try:
            with urllib.request.urlopen(question, timeout=10) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.3)
    raise StoreError(f"the MLflow server did not answer within {_PATIENCE:.0f} s")


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
