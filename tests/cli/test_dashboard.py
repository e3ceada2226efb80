"""optuna-dashboard, behind the same manners as the MLflow UI; a stand-in where the extra is not installed."""

from __future__ import annotations

import importlib.util
import os
import signal
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from tiny_study import free_port, here, processes_of, refused, started, wait_for

from ocr_sweep.errors import ConflictError
from ocr_sweep.tracking.server import require_free

STAND_IN = """
import json, optuna

def wsgi(storage):
    names = optuna.get_all_study_names(storage)
    def application(environ, start):
        if environ["REQUEST_METHOD"] == "DELETE":
            optuna.delete_study(study_name=names[0], storage=storage)
        start("200 OK", [("Content-Type", "application/json")])
        return [json.dumps(names).encode()]
    return application
"""


def asked(address: str, method: str = "GET", host: str = "") -> tuple[int, str]:
    request = urllib.request.Request(f"{address}/api/studies", method=method, headers={"Host": host} if host else {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


def listening(port: int) -> set[str]:
    """The addresses, as the kernel writes them, on which somebody listens to a port."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            place, state = line.split()[1], line.split()[3]
            if state == "0A" and int(place.split(":")[1], 16) == port:
                found.add(place.split(":")[0])
    return found


@pytest.mark.skipif(importlib.util.find_spec("optuna_dashboard") is not None, reason="the extra is installed")
def test_without_the_extra_it_says_how_to_get_it(finished: Path) -> None:
    refused(here(finished, "dashboard"), 2, "not installed", "make dashboard", "'.[dashboard]'")


@pytest.mark.slow
def test_it_shows_the_studies_to_this_machine_and_changes_none(damaged: Path, tmp_path: Path) -> None:
    settings = {}
    if importlib.util.find_spec("optuna_dashboard") is None:
        (tmp_path / "optuna_dashboard.py").write_text(STAND_IN)
        settings["PYTHONPATH"] = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    port = free_port()
    with started(damaged, "dashboard", "--port", str(port), **settings) as process:
        assert process.stdout is not None
        address = f"http://127.0.0.1:{port}"
        assert f"{address}/dashboard" in process.stdout.readline()
        status, studies = asked(address)
        assert status == 200 and "tiny" in studies
        assert asked(address, host="evil.example")[0] == 403, "no page elsewhere may borrow the address"
        assert asked(address, method="DELETE")[0] in (404, 405, 500) and "tiny" in asked(address)[1]
        assert listening(port) == {"0100007F"}, "on the loopback address alone"
        with pytest.raises(ConflictError, match=f"port {port} is in use.*make dashboard PORT={port + 1}"):
            require_free(port, "dashboard")
        (server,) = [int(pid) for pid in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()]
        process.send_signal(signal.SIGINT)
        err = process.communicate(timeout=30)[1]
        assert process.returncode == 0, err
        wait_for(lambda: not processes_of(server), "the server to end", 10)
