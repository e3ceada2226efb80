"""The files of runs: on this disk, or behind a tracking server."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from ocr_sweep.doctor.mlflow_rest import Server


class Artifacts(Protocol):
    """The files of one run."""

    def names(self) -> list[str]:
        """All files, by their paths below the run."""

    def read(self, name: str) -> bytes | None:
        """The bytes of one; None where there is no such file."""

    def sha256(self, name: str) -> str | None:
        """The hash of one; None where there is no such file."""


class LocalArtifacts:
    """Files on this disk."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def names(self) -> list[str]:
        """See `Artifacts`."""
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())

    def read(self, name: str) -> bytes | None:
        """See `Artifacts`."""
        path = self.folder / name
        return path.read_bytes() if path.is_file() else None

    def sha256(self, name: str) -> str | None:
        """See `Artifacts`."""
        path = self.folder / name
        if not path.is_file():
            return None
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class ServedArtifacts:
    """Files that a tracking server hands out."""

    def __init__(self, server: Server, place: str) -> None:
        self._server = server
        self._place = place.strip("/")
        self.read = cache(self._read)

    def names(self) -> list[str]:
        """See `Artifacts`."""
        return sorted(self._below(""))

    def _below(self, folder: str) -> list[str]:
        path = "/".join(part for part in (self._place, folder) if part)
        listed = self._server.get("api/2.0/mlflow-artifacts/artifacts", {"path": path}).json().get("files", [])
        found = []
        for one in listed:
            name = "/".join(part for part in (folder, one["path"]) if part)
            found += self._below(name) if one.get("is_dir") else [name]
        return found

    def _read(self, name: str) -> bytes | None:
        answer = self._server.get(f"api/2.0/mlflow-artifacts/artifacts/{quote(f'{self._place}/{name}')}")
        return None if answer.status_code == 404 else answer.content

    def sha256(self, name: str) -> str | None:
        """See `Artifacts`."""
        content = self.read(name)
        return None if content is None else hashlib.sha256(content).hexdigest()


def local_folder(place: str) -> Path | None:
    """The folder that an address of artifacts names; None where it is not on a disk of this machine."""
    parts = urlsplit(place)
    return Path(unquote(parts.path)) if parts.scheme in ("file", "") else None


def artifacts_at(place: str, server: Server | None) -> Artifacts | None:
    """The files at a run's address; None where they can only be read by other programs, say in a bucket."""
    folder = local_folder(place)
    if folder is not None:
        return LocalArtifacts(folder)
    parts = urlsplit(place)
    if parts.scheme == "mlflow-artifacts" and server is not None:
        return ServedArtifacts(server, unquote(parts.path))
    return None
