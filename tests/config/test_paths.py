from __future__ import annotations

from pathlib import Path

import pytest

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import NotFoundError


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "project" / "sweeps" / "bases").mkdir(parents=True)
    return tmp_path / "project"


def test_the_project_is_found_from_any_folder_in_it(project: Path) -> None:
    paths = Paths.find({}, cwd=project / "sweeps" / "bases")
    assert paths.root == project and paths.data == project / "data"
    assert paths.tracking_uri == f"sqlite:///{project}/mlruns/mlflow.db"
    assert paths.optuna_url == f"sqlite:///{project}/mlruns/optuna.db"
    assert paths.sweeps == project / "sweeps" and paths.lock("a") == project / "mlruns" / "locks" / "a.lock"


def test_settings_come_before_what_is_found(project: Path, tmp_path: Path) -> None:
    environ = {
        "OCR_SWEEP_HOME": str(project),
        "OCR_SWEEP_DATA": "images",
        "MLFLOW_TRACKING_URI": "http://host",
        "OCR_SWEEP_OPTUNA_URL": "postgresql://host",
    }
    paths = Paths.find(environ, cwd=tmp_path)
    assert (paths.root, paths.tracking_uri, paths.optuna_url) == (project, "http://host", "postgresql+psycopg://host")
    assert paths.data == tmp_path / "images"  # a relative setting is meant from where one stands
    assert Paths.find({**environ, "OCR_SWEEP_DATA": "/images"}, cwd=tmp_path).data == Path("/images")


def test_outside_of_a_project_the_way_in_is_told(project: Path, tmp_path: Path) -> None:
    for environ in ({}, {"OCR_SWEEP_HOME": str(project / "sweeps")}):
        with pytest.raises(NotFoundError, match="must hold a folder `sweeps/`; change into the project or set OCR_SWEEP_HOME"):
            Paths.find(environ, cwd=tmp_path)
