"""What lies in the store and belongs to nothing (I12), and the checkpoints of trials in progress (I13)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor import words
from ocr_sweep.doctor.artifacts import local_folder
from ocr_sweep.doctor.evidence import Evidence, StudyEvidence
from ocr_sweep.doctor.violation import Violation
from ocr_sweep.doctor.work import Folder

OLD = 3600.0  # seconds after which a half-written file belongs to nobody
_KEPT = {"corpora": 7 * 24 * OLD}  # a build goes on with what a killed one left, for a week
_SUFFIXES = (".tmp", ".part", ".rename")


def old_leftovers(paths: Paths) -> list[Path]:
    """Files and folders under mlruns/ that were never given their name, an hour ago or more; the outermost of each."""
    found: list[Path] = []
    for path in sorted(paths.mlruns.rglob("*")):
        if not path.name.endswith(_SUFFIXES) or any(path.is_relative_to(other) for other in found):
            continue
        if time.time() - _youngest(path) > _KEPT.get(path.relative_to(paths.mlruns).parts[0], OLD):
            found.append(path)
    return found


def _youngest(path: Path) -> float:
    inside = path.rglob("*") if path.is_dir() else ()
    return max([path.lstat().st_mtime, *(one.lstat().st_mtime for one in inside)])


def check_leftovers(evidence: Evidence) -> Iterator[Violation]:
    """I12: everything in the store has a name and belongs to something."""
    paths = evidence.paths
    for path in old_leftovers(paths):
        what = f"no half-written file may stay for more than an hour, but {path} does"
        yield Violation("I12", "", str(path), what, "`make doctor REPAIR=1` removes it")
    yield from _orphans(evidence)
    for name, place in sorted(evidence.tracking.places.items()):
        if local_folder(place) is not None and name != "Default" and not place.startswith(paths.artifacts.as_uri()):
            what = f"artifacts must lie in this project, but those of {name} lie at {place}: was it moved?"
            yield Violation("I12", name, place, what, "move the project back to where it was: MLflow keeps whole paths")


def _orphans(evidence: Evidence) -> Iterator[Violation]:
    """Folders of runs that the tracking store does not know, the sign of a database older than its files."""
    known = {run.run_id for study in evidence.studies for run in study.runs}
    for name, place in sorted(evidence.tracking.places.items()):
        folder = local_folder(place)
        if folder is None or not folder.is_dir() or name not in {study.name for study in evidence.studies}:
            continue
        for path in sorted(folder.iterdir()):
            manifest = path / "artifacts" / words.MANIFEST
            if path.name not in known and manifest.is_file():
                what = f"the files of a run must belong to one, but MLflow knows no run {path.name}"
                do = "restore the MLflow database that is as young as the files; doctor never deletes them"
                yield Violation("I12", name, str(path), what, do)


def check_work(study: StudyEvidence) -> Iterator[Violation]:
    """I13: checkpoints are whole, and none is kept for what has ended."""
    if study.running:
        return
    told = {f"{trial.number:04d}-search" for trial in study.trials if trial.finished}
    for folder in study.folders:
        for name in () if study.quick else folder.damaged_checkpoints():
            what = f"a checkpoint must end with the hash of its bytes, but {folder.path / name} does not"
            do = f"nothing needs to be done: {study.again} does not load it, and trains the trial from its beginning"
            yield study.wrong("I13", str(folder.path), what, do)
        if folder.name in told or _is_over(study, folder):
            what = f"a trial that has ended must leave no folder, but {folder.path} is there"
            yield study.wrong("I13", str(folder.path), what, f"{study.again} removes it; nothing in it is missing elsewhere")


def _is_over(study: StudyEvidence, folder: Folder) -> bool:
    """Whether the confirming training of a folder is recorded."""
    runs = study.by_key.get(folder.name, [])
    return bool(runs) and all(run.complete and run.role == "confirm" for run in runs)
