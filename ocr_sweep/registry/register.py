"""From a run to a registered version."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import file_lock
from ocr_sweep.errors import EvidenceError, NotFoundError
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


def require_complete(record: RunRecord) -> None:
    """Refuse a run that no version can be made of.

    Raises:
        EvidenceError: the run has not ended with all its evidence.
    """
    if not record.complete:
        raise EvidenceError(
            f"only a run that completed can be registered, but run {record.run_id} ({record.name}) is {record.state}"
        )
    if tag.ONNX_SHA256 not in record.tags:
        raise EvidenceError(f"only a run with an ONNX file can be registered, but run {record.run_id} ({record.name}) has none")


def version_of(tracker: Tracker, record: RunRecord, name: str | None = None) -> Version:
    """`register` for who holds the lock.

    Args:
        name: the registered model; None: that of the run's corpus.
    """
    require_complete(record)
    name = name or model_name(record.params["corpus.name"])
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


def version_numbered(tracker: Tracker, name: str, number: int) -> Version:
    """A version by its number.

    Raises:
        NotFoundError: there is none.
    """
    from mlflow.exceptions import MlflowException

    with tracking_errors(tracker.client.tracking_uri):
        try:
            return Version.of(tracker.client.get_model_version(name, str(number)))
        except MlflowException as error:
            if error.error_code not in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                raise
    raise NotFoundError(f"{name} has no version {number}; `ocr-sweep models list` shows the known ones")


def versions(tracker: Tracker, name: str | None = None) -> list[Version]:
    """All versions of a model, or of every model, by name and newest first."""
    with tracking_errors(tracker.client.tracking_uri):
        found = tracker.client.search_model_versions(f"name = '{name}'" if name else "")
        return sorted((Version.of(version) for version in found), key=lambda version: (version.name, -version.number))


def handed_out(tracker: Tracker, version: Version) -> str:
    """Where a version's files are handed out from, if that is elsewhere than among those of its run; else empty."""
    with tracking_errors(tracker.client.tracking_uri):
        came = str(tracker.client.get_model_version_download_uri(version.name, str(version.number)))
        run = str(tracker.client.get_run(version.run_id).info.artifact_uri)
    return "" if came in (f"runs:/{version.run_id}/{MODEL}", f"{run}/{MODEL}") else came


@dataclass(frozen=True)
class Standing:
    """A registered model as the registry has it."""

    aliases: dict[str, int]  # version by alias
    tags: dict[str, str]


def standing(tracker: Tracker, name: str) -> Standing | None:
    """A registered model's aliases and tags; None where there is no such model."""
    from mlflow.exceptions import MlflowException

    with tracking_errors(tracker.client.tracking_uri):
        try:
            model = tracker.client.get_registered_model(name)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise
    return Standing({alias: int(version) for alias, version in model.aliases.items()}, dict(model.tags))


def require_model(tracker: Tracker, name: str) -> Standing:
    """A registered model that a person named.

    Raises:
        NotFoundError: there is none of this name; the message names the known ones.
    """
    known = sorted({version.name for version in versions(tracker)})
    found = standing(tracker, name) if name in known else None
    if found is None:
        raise NotFoundError(f"no registered model '{name}'; known ones: {', '.join(known) or 'none yet'}")
    return found


def holder(tracker: Tracker, name: str, alias: str) -> Version | None:
    """The version that an alias points to."""
    found = standing(tracker, name)
    number = found.aliases.get(alias) if found is not None else None
    return None if number is None else version_numbered(tracker, name, number)
