"""optuna-dashboard over this project's studies: on this machine only, to look and not to change."""

from __future__ import annotations

import importlib.util
import os
import sys
import urllib.request
from collections.abc import Callable
from urllib.parse import quote

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import NotFoundError
from ocr_sweep.tracking.server import HOST, require_free, serve_until_interrupted

URL = "OCR_SWEEP_DASHBOARD_URL"  # how the server's process hears of the database: other users can read a command line


def serve_dashboard(paths: Paths, port: int, ready: Callable[[str], None]) -> None:
    """Serve until a signal comes.

    Args:
        ready: hears the address, once the server answers.

    Raises:
        NotFoundError: the extra `dashboard` is not installed, or no study was run.
        ConflictError: the port is in use.
        StoreError: the server does not come up.
    """
    if importlib.util.find_spec("optuna_dashboard") is None:
        raise NotFoundError(
            "optuna-dashboard is an extra that is not installed; `make dashboard` installs it, or write: "
            ".venv/bin/python -m pip install --constraint constraints.txt --editable '.[dashboard]'"
        )
    embedded = paths.optuna_url == f"sqlite:///{paths.mlruns}/optuna.db"
    if embedded and not (paths.mlruns / "optuna.db").exists():
        raise NotFoundError("no study was run in this project yet; `ocr-sweep sweep run STUDY` makes what a dashboard shows")
    require_free(port, "dashboard")
    # a study deleted in a browser would be gone for its supervisor, too
    url = f"sqlite:///file:{quote(str(paths.mlruns))}/optuna.db?mode=ro&uri=true" if embedded else paths.optuna_url
    serve_until_interrupted(
        "optuna-dashboard",
        [sys.executable, "-m", "ocr_sweep.sweep.watching.dashboard_server", str(port)],
        {**os.environ, URL: url},
        paths.mlruns / "dashboard.log",
        urllib.request.Request(f"http://{HOST}:{port}/api/studies"),
        ready,
    )
