"""The versions of a study in Optuna's database: each is a study of its own there, `name`, `name@2`, `name@3`.

Optuna refuses another set of choices inside one study, and a version that nothing can change any more is what a replay needs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import optuna
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.search.identity import Meaning
from ocr_sweep.sweep.search.memory import DIRECTIONS

IDENTITY = "ocr_sweep.identity"
VERSION = "ocr_sweep.version"  # what a version is and came from; a later one counts once this is written
ORIGIN = "ocr_sweep.origin"  # user attribute of a trial: the version that proposed it
_LIBRARIES = ("optuna", "numpy", "scipy", "torch")  # that proposals are drawn with


@dataclass(frozen=True)
class Version:
    """One version of a study."""

    number: int
    study: optuna.Study

    def meaning(self, now: StudyConfig) -> Meaning | None:
        """What it means; None where a kill came before that was written."""
        text = self.study.user_attrs.get(IDENTITY)
        return None if text is None else Meaning.read(text, now)

    def about(self) -> dict[str, Any]:
        """What is written about it: since when, drawn with which libraries, what changed, how many trials came along."""
        about: dict[str, Any] = self.study.user_attrs.get(VERSION, {})
        return about

    def trials(self) -> list[FrozenTrial]:
        """Its trials, to be read only."""
        return self.study.get_trials(deepcopy=False)


def versions_of(name: str, storage: BaseStorage) -> list[Version]:
    """The versions of a study, oldest first; one whose making was cut short is none."""
    found = []
    for stored in optuna.get_all_study_names(storage):
        number = _number(name, stored)
        if number is None:
            continue
        version = Version(number, optuna.load_study(study_name=stored, storage=storage))
        if number == 1 or version.about():
            found.append(version)
    return sorted(found, key=lambda version: version.number)


def new_version(study: StudyConfig, number: int, storage: BaseStorage) -> optuna.Study:
    """Make the study of a version; what a cut-short making left of it is removed."""
    name = study.name if number == 1 else f"{study.name}@{number}"
    if number > 1 and name in optuna.get_all_study_names(storage):
        optuna.delete_study(study_name=name, storage=storage)
    objectives = 1 if study.against is None else 2
    return optuna.create_study(storage=storage, study_name=name, directions=DIRECTIONS[:objectives])


def settle(study: optuna.Study, number: int, meaning: Meaning, changed: Sequence[str] = (), **about: Any) -> None:
    """Write what a version means, and last of all that it is one."""
    study.set_user_attr(IDENTITY, meaning.as_json())
    now = datetime.now(UTC).isoformat(timespec="seconds")
    libraries = {name: metadata.version(name) for name in _LIBRARIES}
    study.set_user_attr(VERSION, {"version": number, "since": now, "libraries": libraries, "changed": list(changed), **about})


def _number(name: str, stored: str) -> int | None:
    if stored == name:
        return 1
    match = re.fullmatch(re.escape(name) + r"@([0-9]+)", stored)
    return int(match[1]) if match else None
