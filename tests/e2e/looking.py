"""A project's runs as MLflow shows them."""

from __future__ import annotations

from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities import Run
from tiny_study import paths_of


def client_of(root: Path) -> MlflowClient:
    return MlflowClient(paths_of(root).tracking_uri)


def runs_of(root: Path, role: str = "") -> list[Run]:
    """The trainings, or the runs of another role."""
    client = client_of(root)
    found = client.search_runs([e.experiment_id for e in client.search_experiments()], order_by=["attributes.start_time"])
    return [run for run in found if (run.data.tags["ocr_sweep.role"] == "summary") == (role == "summary")]


def by_name(root: Path, name: str) -> Run:
    return next(run for run in runs_of(root) if run.info.run_name == name)


def artifact(root: Path, run: Run, name: str) -> Path:
    return root / "mlruns" / "artifacts" / "tiny" / run.info.run_id / "artifacts" / name
