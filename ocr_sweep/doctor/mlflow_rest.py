"""An MLflow server, read by its REST interface."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

import requests

from ocr_sweep.doctor import words
from ocr_sweep.doctor.records import Point, Run, Tracking, Version
from ocr_sweep.errors import StoreError

_PAGE = 1000
_TIMEOUT = 60.0  # seconds for one answer
_CURVE = "epoch/"  # of these metrics every point is asked for, of others the last


class Server:
    """A tracking server; MLflow's own variables name the user, if it wants one."""

    def __init__(self, address: str) -> None:
        self.address = address.rstrip("/")
        self._session = requests.Session()
        user = os.environ.get("MLFLOW_TRACKING_USERNAME")
        if user:
            self._session.auth = (user, os.environ.get("MLFLOW_TRACKING_PASSWORD", ""))
        elif token := os.environ.get("MLFLOW_TRACKING_TOKEN"):
            self._session.headers["Authorization"] = f"Bearer {token}"

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> requests.Response:
        """Ask for something; what does not exist is an answer, too.

        Raises:
            StoreError: the server is away, or refuses.
        """
        return self._answer("GET", path, params=dict(parameters or {}))

    def search(self, path: str, what: str, **question: Any) -> Iterator[dict[str, Any]]:
        """All entries of a search, page by page."""
        token = None
        while True:
            body = {**question, "max_results": _PAGE, **({"page_token": token} if token else {})}
            page = self._answer("POST", path, json=body).json()
            yield from page.get(what, [])
            token = page.get("next_page_token")
            if not token:
                return

    def _answer(self, method: str, path: str, **content: Any) -> requests.Response:
        try:
            answer = self._session.request(method, f"{self.address}/{path}", timeout=_TIMEOUT, **content)
        except requests.RequestException as error:
            raise StoreError(
                f"the tracking server must be reachable, but: {type(error).__name__}; when it is back, run this again"
            ) from error
        if answer.status_code >= 400 and answer.status_code != 404:
            raise StoreError(f"the tracking server must answer, but says {answer.status_code} to {path}: {answer.text[:200]}")
        return answer


def read_server(server: Server, only: str | None = None) -> Tracking:
    """Read the runs that are ours, of all studies or of one, and the registry.

    Raises:
        StoreError: the server is away, or refuses.
    """
    experiments = list(server.search("api/2.0/mlflow/experiments/search", "experiments", view_type="ALL"))
    places = {one["name"]: one["artifact_location"] for one in experiments}
    numbers = [one["experiment_id"] for one in experiments]
    wanted = f"tags.`{words.STUDY}` != ''" if only is None else f"tags.`{words.STUDY}` = '{only}'"
    found = server.search("api/2.0/mlflow/runs/search", "runs", experiment_ids=numbers, filter=wanted, run_view_type="ALL")
    runs = sorted((_run(server, one) for one in found), key=lambda run: (run.study, run.start, run.run_id))
    models = list(_paged(server, "api/2.0/mlflow/registered-models/search", "registered_models"))
    versions = [_version(one) for one in _paged(server, "api/2.0/mlflow/model-versions/search", "model_versions")]
    aliases = {(model["name"], one["alias"]): int(one["version"]) for model in models for one in model.get("aliases", [])}
    heads = {model["name"]: tags[words.HEAD] for model in models if words.HEAD in (tags := _pairs(model.get("tags", [])))}
    return Tracking(places, tuple(runs), tuple(sorted(versions, key=lambda one: (one.model, one.number))), aliases, heads)


def _paged(server: Server, path: str, what: str) -> Iterator[dict[str, Any]]:
    token = None
    while True:
        page = server.get(path, {"max_results": _PAGE, **({"page_token": token} if token else {})}).json()
        yield from page.get(what, [])
        token = page.get("next_page_token")
        if not token:
            return


def _run(server: Server, one: dict[str, Any]) -> Run:
    info, data = one["info"], one.get("data", {})
    run_id = info["run_id"]
    return Run(
        run_id=run_id,
        name=info.get("run_name") or run_id,
        status=info["status"],
        deleted=info["lifecycle_stage"] == "deleted",
        start=int(info["start_time"]),
        end=int(info["end_time"]) if info.get("end_time") else None,
        artifacts=info["artifact_uri"],
        tags=_pairs(data.get("tags", [])),
        params=_pairs(data.get("params", [])),
        metrics={last["key"]: _points(server, run_id, last) for last in data.get("metrics", [])},
    )


def _points(server: Server, run_id: str, last: dict[str, Any]) -> tuple[Point, ...]:
    if not last["key"].startswith(_CURVE):
        return (_point(last),)
    path = "api/2.0/mlflow/metrics/get-history"
    answer = server.get(path, {"run_id": run_id, "metric_key": last["key"], "max_results": 100_000}).json()
    return tuple(sorted(_point(one) for one in answer.get("metrics", [])))


def _point(one: dict[str, Any]) -> Point:
    return Point(int(one.get("step", 0)), float(one["value"]), int(one["timestamp"]))


def _pairs(entries: list[dict[str, str]]) -> dict[str, str]:
    return {entry["key"]: entry.get("value", "") for entry in entries}


def _version(one: dict[str, Any]) -> Version:
    tags = _pairs(one.get("tags", []))
    return Version(one["name"], int(one["version"]), one.get("run_id", ""), one.get("current_stage", "None"), tags)
