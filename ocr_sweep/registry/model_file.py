"""The file behind a registered model's name."""

from __future__ import annotations

from pathlib import Path

from ocr_sweep.errors import IntegrityError, NotFoundError
from ocr_sweep.registry.evidence import ONNX
from ocr_sweep.registry.pointer import PRODUCTION
from ocr_sweep.registry.register import Version, holder, require_model, version_numbered, versions
from ocr_sweep.tracking.tracker import Tracker


def find_version(tracker: Tracker, model: str) -> Version:
    """Return the version that a person names: `production`, `NAME` (its production), `NAME:3` or `NAME:staging`.

    Raises:
        NotFoundError: there is none, or `production` could be one of several; the message names the known ones.
    """
    if model == PRODUCTION.alias:
        return _only_production(tracker)
    name, _, wanted = model.partition(":")
    pointed = require_model(tracker, name).aliases
    if wanted.isdecimal():
        return version_numbered(tracker, name, int(wanted))
    alias = wanted or PRODUCTION.alias
    if alias not in pointed:
        known = ", ".join(sorted(pointed)) or "nothing yet"
        raise NotFoundError(f"{name} has no version in '{alias}', but in {known}; `ocr-sweep models list` shows them all")
    return version_numbered(tracker, name, pointed[alias])


def _only_production(tracker: Tracker) -> Version:
    names = dict.fromkeys(version.name for version in versions(tracker))
    found = [version for name in names if (version := holder(tracker, name, PRODUCTION.alias)) is not None]
    if not found:
        raise NotFoundError("no model is in production yet; `ocr-sweep models promote --study STUDY` puts a winner there")
    if len(found) > 1:
        raise NotFoundError(f"several models are in production; name one: {', '.join(version.name for version in found)}")
    return found[0]


def fetch_onnx(tracker: Tracker, version: Version, into: Path) -> Path:
    """Fetch a version's ONNX file, and compare it with its recorded hash.

    Raises:
        NotFoundError: its run has no such file any more.
        IntegrityError: its bytes differ from what was recorded, or nothing was.
    """
    if not version.onnx_sha256:
        raise IntegrityError(f"version {version.number} of {version.name} must have a recorded hash, but has none")
    return tracker.artifact(version.run_id, ONNX, into)
