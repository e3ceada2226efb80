"""The history of a study that has grown: its versions, and what each brought along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ocr_sweep.config.paths import Paths
from ocr_sweep.sweep.search.storage import find_versions, storage_errors
from ocr_sweep.sweep.search.versions import ORIGIN


@dataclass(frozen=True)
class VersionOfStudy:
    """One version of a study, for people."""

    number: int
    since: str  # ISO 8601, or empty where a former version of this program did not say
    proposed: int  # trials
    kept: int  # trials of former versions that it learns from
    fenced: Mapping[str, int]  # why trials of former versions are set aside, and how many for each reason
    changed: tuple[str, ...]  # against the version before, one "key: was -> is" each


def history_of(study: str, paths: Paths) -> list[VersionOfStudy]:
    """The versions of a study, oldest first; none where it never ran.

    Raises:
        StoreError: the database cannot be reached.
    """
    found = []
    for version in find_versions(study, paths):
        with storage_errors(paths.optuna_url):
            about, trials = version.about(), version.trials()
        proposed = sum(trial.user_attrs.get(ORIGIN, version.number) == version.number for trial in trials)
        kept, fenced, changed = about.get("kept", 0), about.get("fenced", {}), tuple(about.get("changed", ()))
        found.append(VersionOfStudy(version.number, about.get("since", ""), proposed, kept, fenced, changed))
    return found
