"""The artifacts of one run as they are, by their names; what each must be, the caller knows."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ocr_sweep.errors import IntegrityError, NotFoundError
from ocr_sweep.tracking.mlflow_client import tracking_errors

if TYPE_CHECKING:
    from mlflow.store.artifact.artifact_repo import ArtifactRepository


class RunFiles:
    """Reads a run's artifacts; what it has listed it does not list again."""

    def __init__(self, run_id: str, artifact_uri: str, tracking_uri: str) -> None:
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        self._run_id = run_id
        self._tracking_uri = tracking_uri
        with tracking_errors(tracking_uri):
            self._repository: ArtifactRepository = get_artifact_repository(artifact_uri, tracking_uri)
        self.names = cache(self._names)
        self._number = itertools.count()

    def _names(self, folder: str) -> list[str]:
        """The files in a folder, by their whole names; of the top where the folder is empty."""
        with tracking_errors(self._tracking_uri):
            return sorted(file.path for file in self._repository.list_artifacts(folder or None) if not file.is_dir)

    def fetch(self, name: str, into: Path) -> Path:
        """Copy one file to a place of its own below `into`.

        Raises:
            NotFoundError: the run has no such artifact.
            IntegrityError: the name is none that an artifact can have.
        """
        if any(part in ("", ".", "..") for part in name.split("/")):
            raise IntegrityError(
                f"run {self._run_id} names an artifact '{name}', which would lie outside its folder: its record was changed"
            )
        if name not in self.names(name.rpartition("/")[0]):
            raise NotFoundError(f"run {self._run_id} has no artifact '{name}': its files are missing or it never finished")
        place = into / self._run_id / str(next(self._number))  # MLflow may drop the folders of a name
        place.mkdir(parents=True, exist_ok=True)
        with tracking_errors(self._tracking_uri):
            return Path(self._repository.download_artifacts(name, str(place)))  # type: ignore[no-untyped-call]
