"""Those who mean harm: over the UI's port, in a run's artifacts, and a machine without a network."""

from __future__ import annotations

import http.client
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from looking import artifact, by_name
from tiny_study import PROGRAM, environment, free_port, here, started

pytestmark = pytest.mark.slow

CANARY = "canary-7f3a91c2"


@pytest.fixture(scope="module")
def ui(finished: Path) -> Iterator[int]:
    """The port of the UI over a finished project."""
    port = free_port()
    with started(finished, "ui", "--port", str(port)) as process:
        assert process.stdout is not None
        assert "the MLflow UI is at" in process.stdout.readline()
        yield port


def ask(port: int, method: str, path: str, body: str = "", **headers: str) -> tuple[int, str]:
    """One request, its path sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        named = {"Host": f"127.0.0.1:{port}", **{name.replace("_", "-"): value for name, value in headers.items()}}
        for name, value in {**named, "Content-Length": str(len(body))}.items():
            connection.putheader(name, value)
        connection.endheaders(body.encode())
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    finally:
        connection.close()


JSON = {"Content_Type": "application/json"}


class TestTheUi:
    """MLflow's history of holes, tried again on the server as we start it."""

    def test_it_listens_on_the_loopback_alone(self, ui: int) -> None:
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        listening = {line[1].split(":")[0] for line in lines if line[3] == "0A" and int(line[1].split(":")[1], 16) == ui}
        assert listening == {"0100007F"}

    @pytest.mark.parametrize("host", ["evil.example", "192.168.1.7", "127.0.0.1.evil.example", "0.0.0.0"])
    def test_a_name_that_was_bound_anew_is_refused(self, ui: int, host: str) -> None:
        assert ask(ui, "GET", "/api/2.0/mlflow/experiments/get?experiment_id=1", Host=f"{host}:{ui}")[0] == 403

    @pytest.mark.parametrize("origin", ["http://evil.example", "null"])
    def test_a_page_of_others_cannot_write(self, ui: int, origin: str) -> None:
        body = json.dumps({"name": f"of {origin}"})
        assert ask(ui, "POST", "/api/2.0/mlflow/experiments/create", body, Origin=origin, **JSON)[0] == 403

    def test_words_that_need_no_leave_of_a_browser_are_not_taken(self, ui: int) -> None:
        body = json.dumps({"name": "plain"})
        assert ask(ui, "POST", "/api/2.0/mlflow/experiments/create", body, Content_Type="text/plain")[0] == 400

    @pytest.mark.parametrize(
        "path",
        [
            "/get-artifact?path=../../../../../../etc/passwd&run_uuid={run}",
            "/get-artifact?path=..%2f..%2f..%2f..%2f..%2fetc%2fpasswd&run_uuid={run}",
            "/get-artifact?path=%252e%252e%252f%252e%252e%252fetc%252fpasswd&run_uuid={run}",
            "/get-artifact?path=/etc/passwd&run_uuid={run}",
            "/get-artifact?path=file:///etc/passwd&run_uuid={run}",
            "/api/2.0/mlflow/artifacts/list?run_id={run}&path=../../../../../../../etc",
            "/api/2.0/mlflow-artifacts/artifacts/..%2f..%2f..%2fetc%2fpasswd",
            "/static-files/../../../../../../etc/passwd",
        ],
    )
    def test_no_file_outside_the_store_is_served(self, ui: int, finished: Path, path: str) -> None:
        run = by_name(finished, "tiny-0000").info.run_id
        status, said = ask(ui, "GET", path.format(run=run))
        assert "root:" not in said and (status >= 400 or "<!doctype html>" in said.lower())

    @pytest.mark.parametrize("place", ["http://evil.example/x", "ftp://evil.example/x"])
    def test_an_experiment_lies_where_nobody_else_listens(self, ui: int, place: str) -> None:
        body = json.dumps({"name": f"at {place}", "artifact_location": place})
        assert ask(ui, "POST", "/api/2.0/mlflow/experiments/create", body, **JSON)[0] == 400

    def test_a_version_of_any_file_is_refused(self, ui: int, finished: Path) -> None:
        run = by_name(finished, "tiny-0000").info.run_id
        body = json.dumps({"name": "ocr-tiny", "source": "file:///etc", "run_id": run})
        assert ask(ui, "POST", "/api/2.0/mlflow/model-versions/create", body, **JSON)[0] == 400


def test_what_lies_beside_a_model_is_never_run(damaged: Path, tmp_path: Path) -> None:
    """A description that names a loader, and requirements, are data."""
    marker = tmp_path / "was_run"
    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "evil_loader.py").write_text(f"open({str(marker)!r}, 'w').close()\n_load_pyfunc = None\n")
    run = by_name(damaged, "tiny-0000")
    folder = artifact(damaged, run, "model")
    (folder / "MLmodel").write_text("flavors:\n  python_function:\n    loader_module: evil_loader\n    code: code\n")
    shutil.copytree(evil, folder / "code")
    (folder / "requirements.txt").write_text(str(evil))
    settings = {"PYTHONPATH": os.pathsep.join([str(evil), os.environ.get("PYTHONPATH", "")])}
    for command in (("models", "promote", "--run", run.info.run_id), ("runs", "reproduce", run.info.run_id, "--steps", "2")):
        done = here(damaged, *command, **settings)
        assert done.code in (0, 3), done.err
    assert here(damaged, "runs", "compare", run.info.run_id).code == 0
    assert not marker.exists()


def test_secrets_of_the_environment_are_on_no_record(project: Callable[..., Path]) -> None:
    root = project(trials=1, confirm={"top": 1, "seeds": 1})
    names = ("AWS_SECRET_ACCESS_KEY", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "GITHUB_TOKEN", "OPENAI_API_KEY")
    done = subprocess.run(
        [*PROGRAM, "sweep", "run", "tiny"],
        cwd=root,
        env=environment(root, **{name: f"{CANARY}-{name}" for name in names}),
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert done.returncode == 0, done.stderr
    assert CANARY not in done.stdout + done.stderr
    read = [path for path in (root / "mlruns").rglob("*") if path.is_file()]
    assert len(read) > 20
    assert [path for path in read if CANARY.encode() in path.read_bytes()] == []


def test_a_study_needs_no_network(project: Callable[..., Path]) -> None:
    if shutil.which("unshare") is None or subprocess.run(["unshare", "-rn", "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a network namespace")
    root = project(trials=1, confirm={"top": 1, "seeds": 1})
    command = ["unshare", "-rn", *PROGRAM, "sweep", "run", "tiny"]
    done = subprocess.run(command, cwd=root, env=environment(root), capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    assert "winner" in done.stdout
