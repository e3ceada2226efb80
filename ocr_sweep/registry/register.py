"""From a run to a registered version."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import file_lock
from ocr_sweep.errors import EvidenceError
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.mlflow_client import tracking_errors
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

MODEL = "model"  # the run's artifact folder that a version points to


@dataclass(frozen=True)
class Version:
    """A registered version of a model."""

    name: str
    number: int
    run_id: str
    stage: str  # None, Staging, Production or Archived
    onnx_sha256: str

    @classmethod
    def of(cls, version: ModelVersion) -> Version:
        """Read MLflow's object."""
        return cls(
            version.name,
            int(version.version),
            version.run_id or "",
            version.current_stage or "None",
            version.tags.get(tag.ONNX_SHA256, ""),
        )


def model_name(corpus_name: str) -> str:
    """The registered model of a corpus."""
    return f"ocr-{corpus_name}"


def register(tracker: Tracker, paths: Paths, record: RunRecord) -> Version:
    """Return the version of a complete run, registered on first use.

    Raises:
        EvidenceError: the run has not ended with all its evidence.
    """
    with registry_lock(paths):
        return version_of(tracker, record)


def registry_lock(paths: Paths) -> AbstractContextManager[None]:
    """Held by whoever changes the registry: MLflow's stages and names do not bear two writers."""
    return file_lock(paths.lock("registry"), wait=True)


def version_of(tracker: Tracker, record: RunRecord) -> Version:
    """`register` for who holds the lock."""
    if not record.complete:
        ending = record.tags.get(tag.OUTCOME, record.status.lower())
        raise EvidenceError(f"only a run that completed can be registered, but run {record.run_id} ({record.name}) is {ending}")
    if tag.ONNX_SHA256 not in record.tags:
        raise EvidenceError(f"only a run with an ONNX file can be registered, but run {record.run_id} ({record.name}) has none")
    name = model_name(record.params["corpus.name"])
    with tracking_errors(tracker.client.tracking_uri):
        known = versions(tracker, name)
        mine = next((version for version in known if version.run_id == record.run_id), None)
        if mine is not None:
            return mine
        if not tracker.client.search_registered_models(f"name = '{name}'"):
            tracker.client.create_registered_model(name)
        kept = {key: value for key, value in record.tags.items() if key.startswith("ocr_sweep.")}
        made = tracker.client.create_model_version(name, f"runs:/{record.run_id}/{MODEL}", record.run_id, tags=kept)
        return Version.of(made)


def versions(tracker: Tracker, name: str | None = None) -> list[Version]:
    """All versions of a model, or of every model, by name and newest first."""
    with tracking_errors(tracker.client.tracking_uri):
        found = tracker.client.search_model_versions(f"name = '{name}'" if name else "")
        return sorted((Version.of(version) for version in found), key=lambda version: (version.name, -version.number))


def holder(tracker: Tracker, name: str, alias: str) -> Version | None:
    """The version that an alias points to."""
    from mlflow.exceptions import MlflowException

    with tracking_errors(tracker.client.tracking_uri):
        try:
            return Version.of(tracker.client.get_model_version_by_alias(name, alias))
        except MlflowException as error:
            if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                return None
            raise
