"""What `doctor` looks at; it changes nothing."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import file_lock
from ocr_sweep.errors import ConflictError, OcrSweepError

_COMMON = "天地玄黄宇宙洪荒日月"  # characters that every CJK face draws
_ROOM = 2_000_000_000  # bytes that a study should find free


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    fine: bool
    sentence: str


def examine(paths: Paths) -> list[Finding]:
    """Look at everything; a check that fails does not stop the next."""
    return [*_machine(paths), *_studies(paths), *_fonts(paths), *_databases(paths), *_runs(paths)]


def _machine(paths: Paths) -> Iterator[Finding]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    yield Finding("machine", True, f"{len(os.sched_getaffinity(0))} cores, {device}, torch {torch.__version__}")
    free = shutil.disk_usage(paths.root).free
    yield Finding("disk", free > _ROOM, f"{free / 1e9:.1f} GB free at {paths.root}; a study wants {_ROOM / 1e9:.0f} GB")
    state = "exists" if paths.data.is_dir() else "does not exist; only studies on real scans need it (OCR_SWEEP_DATA)"
    yield Finding("data root", True, f"{paths.data} {state}")


def _studies(paths: Paths) -> Iterator[Finding]:
    for file in sorted(paths.sweeps.glob("*.yaml")):
        try:
            study = load_study(file, paths.sweeps)
            yield Finding(f"study {file.stem}", True, study.question)
        except OcrSweepError as error:
            yield Finding(f"study {file.stem}", False, str(error))


def _fonts(paths: Paths) -> Iterator[Finding]:
    from ocr_sweep.corpus import find_faces

    def silent(what: str, done: int, total: int) -> None:
        """No bar for a look."""

    try:
        faces, skipped = find_faces(["system"], _COMMON, data_root=paths.data, cache=paths.cache, progress=silent)
    except OcrSweepError as error:
        yield Finding("fonts", False, str(error))
        return
    named = ", ".join(face.family for face in faces[:6])
    yield Finding("fonts", True, f"{len(faces)} faces with CJK characters: {named}")
    for left_out in skipped:
        yield Finding("font", True, f"{left_out.name} is left out: {left_out.reason}")


def _databases(paths: Paths) -> Iterator[Finding]:
    for file in (paths.mlflow_db, paths.mlruns / "optuna.db"):
        if not file.exists():
            yield Finding(file.name, True, "not made yet")
            continue
        try:
            with sqlite3.connect(f"file:{file}?mode=ro", uri=True) as database:
                state = database.execute("PRAGMA quick_check").fetchone()[0]
        except sqlite3.Error as error:
            state = str(error)
        yield Finding(file.name, state == "ok", "whole" if state == "ok" else f"damaged: {state}; restore a backup")


def _runs(paths: Paths) -> Iterator[Finding]:
    """Runs that say RUNNING while nobody runs their study, and artifacts that are not where the store says."""
    from ocr_sweep.tracking.tracker import Tracker

    if paths.tracking_uri.startswith("sqlite") and not paths.mlflow_db.exists():
        return
    try:
        tracker = Tracker.open(paths)
        records, places = tracker.runs(), tracker.artifact_places()
    except OcrSweepError as error:
        yield Finding("runs", False, str(error))
        return
    for study in sorted({record.study for record in records if record.status == "RUNNING"}):
        if not _is_running(study, paths):
            yield Finding(
                f"runs of {study}",
                False,
                f"some say RUNNING, but nobody runs the study; `make sweep STUDY={study}` goes on with them",
            )
    for name, place in places.items():
        if place.startswith("file://") and not place.startswith(paths.artifacts.as_uri()):
            yield Finding(f"artifacts of {name}", False, f"lie at {place}, outside this project: was it moved?")
    yield Finding("runs", True, f"{len(records)} recorded, {sum(record.complete for record in records)} complete")


def _is_running(study: str, paths: Paths) -> bool:
    try:
        with file_lock(paths.lock(f"study-{study}"), wait=False):
            return False
    except ConflictError:
        return True
