"""The files of a run, each compared with what was recorded of it."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray

from ocr_sweep.config.fingerprint import file_sha256, fingerprint
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import EvidenceError, IntegrityError, NotFoundError
from ocr_sweep.registry.register import MODEL, version_numbered
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import MANIFEST, Tracker

ONNX = "model/model.onnx"
WEIGHTS = "weights.safetensors"
PREDICTIONS = "predictions.npz"
CONFIG = "config.yaml"
PROBE = "probe.npz"
PARITY = "parity.json"


@dataclass(frozen=True)
class Evidence:
    """A complete run and its files, fetched and found as they were recorded."""

    record: RunRecord
    hashes: dict[str, str]  # sha256 of every file, by name
    places: dict[str, Path]  # where each was fetched to

    def file(self, name: str) -> Path:
        """One of the files.

        Raises:
            EvidenceError: the run has none of this name.
        """
        if name not in self.places:
            raise EvidenceError(
                f"run {self.record.run_id} ({self.record.name}) has no {name}: it shows less than the gate asks for"
            )
        return self.places[name]

    def probe(self) -> NDArray[np.uint8]:
        """The squares (N, S, S) of validation, and a blank and a noisy one, that every later promotion tries again.

        Raises:
            EvidenceError: the run has none.
        """
        with np.load(self.file(PROBE), allow_pickle=False) as arrays:
            images: NDArray[np.uint8] = arrays["images"]
        return images

    @cached_property
    def config(self) -> TrialConfig:
        """The run's complete configuration."""
        return TrialConfig.model_validate(yaml.safe_load(self.file(CONFIG).read_text(encoding="utf-8")))

    @property
    def num_bytes(self) -> int:
        """Of all files."""
        return sum(path.stat().st_size for path in self.places.values())

    @property
    def sealed(self) -> bool:
        """Whether the run has a hash of the hashes themselves, too; runs of former versions have none."""
        return tag.FILES_SHA256 in self.record.tags


def collect(tracker: Tracker, record: RunRecord, into: Path) -> Evidence:
    """Fetch every file that a run recorded at its end, and compare each with its hash.

    The manifest holds the hashes of the files; the hash of all of them, the manifest's included, is a tag of the run, in
    the database. So a file and the manifest cannot be changed together without the database.

    Raises:
        EvidenceError: a file is missing.
        IntegrityError: one differs from what was recorded.
    """
    try:
        files = tracker.files(record.run_id)
        places = {MANIFEST: files.fetch(MANIFEST, into)}
        recorded = _recorded(places[MANIFEST], record)
        places |= {name: files.fetch(name, into) for name in sorted({*recorded, *files.names(MODEL)})}
    except NotFoundError as error:
        raise EvidenceError(f"run {record.run_id} ({record.name}) cannot be promoted: {error}") from None
    hashes = {name: file_sha256(path) for name, path in places.items()}
    for name, expected in recorded.items():
        _compare(record, name, expected, hashes[name], "as its manifest says")
    for key, name in ((tag.ONNX_SHA256, ONNX), (tag.WEIGHTS_SHA256, WEIGHTS)):
        _compare(record, name, record.tags.get(key, "none"), hashes.get(name, "none"), f"as its tag {key} says")
    found = Evidence(record, hashes, places)
    if found.sealed and fingerprint(hashes) != record.tags[tag.FILES_SHA256]:
        raise IntegrityError(
            f"{MANIFEST} or what lies beside the ONNX file of run {record.run_id} ({record.name}) was changed, added or removed: "
            f"the hash of all hashes must be {record.tags[tag.FILES_SHA256][:12]}…, as its tag {tag.FILES_SHA256} says, "
            f"but is {fingerprint(hashes)[:12]}…"
        )
    return found


def _recorded(manifest: Path, record: RunRecord) -> dict[str, str]:
    """The hashes that a manifest holds, after comparing its numbers with those in the database.

    Raises:
        IntegrityError: it cannot be read, or they differ.
    """
    try:
        content = json.loads(manifest.read_text(encoding="utf-8"))
        hashes = {str(name): str(sha256) for name, sha256 in content["sha256"].items()}
        numbers = {str(name): float(value) for name, value in content["metrics"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise IntegrityError(f"the manifest of run {record.run_id} cannot be read: {error}; it was changed or damaged") from None
    for name, value in numbers.items():
        if record.metrics.get(name) != value:
            raise IntegrityError(
                f"the manifest of run {record.run_id} says {name} {value:g}, but the database says {record.metrics.get(name)}: "
                "one of them was changed"
            )
    return hashes


def _compare(record: RunRecord, name: str, expected: str, came: str, why: str) -> None:
    if came != expected:
        raise IntegrityError(
            f"{name} of run {record.run_id} must have sha256 {expected}, {why}, but has {came}: it was changed or damaged"
        )


def check_files(tracker: Tracker, run_id: str, expected: Mapping[str, str]) -> None:
    """Compare artifacts with the hashes that an entry of the history names.

    Raises:
        IntegrityError: one is missing, or differs.
    """
    if not expected:
        return
    files = tracker.files(run_id)
    for name, sha256 in expected.items():
        with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
            try:
                came = file_sha256(files.fetch(name, Path(folder)))
            except NotFoundError:
                came = "no file"
        if came != sha256:
            raise IntegrityError(
                f"{name} of run {run_id} must have sha256 {sha256}, as the history says, but has {came}: it was changed, "
                "damaged or removed"
            )


def hashes_of_version(tracker: Tracker, model: str, number: int | None) -> tuple[str, dict[str, str]]:
    """The run of a version and the hashes of its files as they are now, for a version that no gate has seen.

    A version whose files are missing or damaged has none: the history says where its pointer stands, and no more.
    """
    if number is None:
        return "", {}
    try:
        version = version_numbered(tracker, model, number)
        with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
            return version.run_id, collect(tracker, tracker.run(version.run_id), Path(folder)).hashes
    except (EvidenceError, NotFoundError):
        return "", {}
