"""The folders of trials in progress, and who holds what."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor.sql import reading, rows

_DIGEST = hashlib.sha256().digest_size
_LOCKS = """
    SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted AND objsubid = 1
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
CHECKPOINTS = ("checkpoint.pt", "classifier.pt")


def is_held(lock: Path) -> bool:
    """Whether a living process holds a lock; looking changes nothing, and makes no file."""
    try:
        handle = os.open(lock, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(handle)
    return False


def is_run(study: str, paths: Paths) -> bool:
    """Whether somebody runs a study now, here or, where its database is on a server, on any machine.

    Raises:
        StoreError: the database cannot be reached.
    """
    return is_held(paths.lock(f"study-{study}")) or is_locked(paths.optuna_url, f"ocr_sweep study '{study}'")


def is_locked(url: str, name: str) -> bool:
    """Whether a session of a PostgreSQL server holds the advisory lock whose key is the head of a name's sha256."""
    if not url.startswith("postgresql"):
        return False
    high, low = struct.unpack(">II", hashlib.sha256(name.encode()).digest()[:8])
    with reading(url) as connection:
        held = rows(connection, f"{_LOCKS} AND classid::bigint = {high} AND objid::bigint = {low}")
        return next(held, None) is not None


@dataclass(frozen=True)
class Folder:
    """The folder of a trial in progress."""

    path: Path

    @property
    def name(self) -> str:
        """What follows the study in a run's key, e.g. 0003-search."""
        return self.path.name

    @property
    def held(self) -> bool:
        """Whether a process of the trial lives."""
        return is_held(self.path / "lock")

    def events(self) -> dict[int, Mapping[str, float]]:
        """The metrics of each epoch that was written down; of what is written twice the first."""
        file = self.path / "events.jsonl"
        found: dict[int, Mapping[str, float]] = {}
        for line in file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []:
            try:
                event = json.loads(line)
                found.setdefault(int(event["epoch"]), event["metrics"])
            except (ValueError, TypeError, KeyError):
                continue  # torn by a kill
        return found

    def manifest(self) -> dict[str, Any] | None:
        """The seal of finished results; None where there is none that can be read."""
        return as_json(self.path / "result" / "manifest.json")

    def damaged_checkpoints(self) -> list[str]:
        """The checkpoints whose bytes are not those that were written: they end with their own hash."""
        return [name for name in CHECKPOINTS if (self.path / name).is_file() and not _is_whole(self.path / name)]


def _is_whole(checkpoint: Path) -> bool:
    content = checkpoint.read_bytes()
    return hashlib.sha256(content[:-_DIGEST]).digest() == content[-_DIGEST:]


def as_json(file: Path) -> dict[str, Any] | None:
    """A JSON object in a file; None where there is none that can be read."""
    try:
        found = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def folders(study: str, paths: Paths) -> list[Folder]:
    """The folders of a study's trials in progress."""
    work = paths.work(study)
    if not work.is_dir():
        return []
    return [Folder(path) for path in sorted(work.iterdir()) if path.is_dir() and not path.name.startswith(".")]
