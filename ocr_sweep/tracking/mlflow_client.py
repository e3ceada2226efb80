"""The one way to MLflow: quiet, without telemetry, its database made by one process, its failures in our words."""

from __future__ import annotations

import logging
import os
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import created_aside, file_lock, make_directory, store_errors
from ocr_sweep.errors import StoreError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_SETTINGS = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",  # a run whose creation is sent twice is two runs; who can wait asks again himself
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "GIT_PYTHON_REFRESH": "quiet",
}

_LASTING = {"BAD_REQUEST", "ENDPOINT_NOT_FOUND", "INVALID_PARAMETER_VALUE", "PERMISSION_DENIED", "RESOURCE_DOES_NOT_EXIST"}
_LASTING |= {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}  # what a server answers that is there


def is_embedded(paths: Paths) -> bool:
    """Whether the tracking store is the database under `mlruns/`."""
    return paths.tracking_uri == f"sqlite:///{paths.mlflow_db}"


def connect(paths: Paths) -> MlflowClient:
    """Return a client of the project's store; an embedded database is created first, by one process alone.

    Raises:
        StoreError: the store cannot be reached or created.
    """
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from mlflow import MlflowClient
    for name in ("mlflow", "alembic"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # we tell failures in our own words
    with tracking_errors(paths.tracking_uri):
        if not is_embedded(paths):
            client = MlflowClient(paths.tracking_uri, paths.tracking_uri)
            client.search_experiments(max_results=1)
            return client
        with store_errors(f"creating {paths.mlruns}"):
            make_directory(paths.artifacts)
        with file_lock(paths.lock("mlflow-store"), wait=True):
            if not paths.mlflow_db.exists():
                _create_database(paths)
            client = MlflowClient(paths.tracking_uri, paths.tracking_uri)
            client.search_experiments(max_results=1)
        return client


def _create_database(paths: Paths) -> None:
    """Make the embedded database aside: MLflow takes seconds for it, and cannot go on with one that a kill left half made."""
    from mlflow import MlflowClient

    with created_aside(paths.mlflow_db) as aside:
        MlflowClient(f"sqlite:///{aside}", f"sqlite:///{aside}").search_experiments(max_results=1)  # makes the tables


@contextmanager
def tracking_errors(uri: str) -> Iterator[None]:
    """Turn MLflow's and the database's failures into a StoreError that names the store, without its password."""
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with warnings.catch_warnings(), store_errors("writing to the tracking store"):
            warnings.simplefilter("ignore")
            yield
    except (MlflowException, RequestException, SQLAlchemyError) as error:
        first = gist(error)
        raise StoreError(
            f"the tracking store {without_password(uri)} must be reachable and writable, but: {without_password(first)[:300]}. "
            "What was recorded is safe, and trials keep their results on disk; when it is back, run the same command again",
            passing=getattr(error, "error_code", "") not in _LASTING and not stays_away(first),
        ) from error


def gist(error: BaseException) -> str:
    """The line of a failure's text that says what is wrong; SQLAlchemy may put a remark on its own doings before it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next((line for line in lines if not line.startswith("(raised as a result of ")), type(error).__name__)


def stays_away(said: str) -> bool:
    """Whether a database says that it will not be back without somebody's help."""
    signs = ("disk is full", "no space left", "quota", "readonly", "read-only", "i/o error", "malformed", "not a database")
    return any(sign in said.lower() for sign in signs)


def without_password(text: str) -> str:
    """A store's address, or a sentence that names one, as it may be shown."""
    return re.sub(r"(?<=password=)[^\s&]+", "***", re.sub(r"(\w://)[^\s@]+@", r"\1***@", text))
