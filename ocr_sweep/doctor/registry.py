"""What is in production, and whether it may be (I14)."""

from __future__ import annotations

from collections.abc import Iterator

from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import Evidence
from ocr_sweep.doctor.records import Run, Version
from ocr_sweep.doctor.violation import Violation

ALIASES = ("production", "staging")


def check_registry(evidence: Evidence) -> Iterator[Violation]:
    """I14: every alias leads to a complete run whose file is recorded, and the stage follows the alias."""
    runs = {run.run_id: run for study in evidence.studies for run in study.runs}
    versions = {(version.model, version.number): version for version in evidence.tracking.versions}
    for (model, alias), number in sorted(evidence.tracking.aliases.items()):
        version = versions.get((model, number))
        if version is None:
            what = f"alias {alias} must lead to a version, but version {number} is gone"
            yield _wrong(f"{model}@{alias}", what, "promote another version: `make promote RUN=<id>`")
        elif alias in ALIASES and (version.run_id in runs or not evidence.limited):
            yield from _promoted(version, alias, runs.get(version.run_id))
    yield from _stages(evidence)


def _promoted(version: Version, alias: str, run: Run | None) -> Iterator[Violation]:
    where = f"{version.model}@{alias}, version {version.number}"
    do = f"promote a run that is whole: `make promote RUN=<id>{'' if alias == 'production' else ' STAGE=staging'}`"
    if run is None or not run.complete:
        state = "is not known" if run is None else "is deleted" if run.deleted else f"is {run.outcome or run.status}"
        yield _wrong(where, f"it must come from a complete run, but run {version.run_id} {state}", do)
        return
    expected, came = run.tags.get(words.ONNX_SHA256), version.tags.get(words.ONNX_SHA256)
    if came is not None and came != expected:
        yield _wrong(where, f"its file must be the run's, sha256 {expected}, but its tag says {came}", do)


def stages_to_move(evidence: Evidence) -> list[tuple[Version, str, str]]:
    """The versions whose stage is not what the aliases say: (version, stage, the stage that it should have)."""
    known = {run.run_id for study in evidence.studies for run in study.runs}
    found = []
    for version in evidence.tracking.versions:
        if evidence.limited and version.run_id not in known:
            continue
        aliases = evidence.tracking.aliases
        wanted = next((alias.title() for alias in ALIASES if aliases.get((version.model, alias)) == version.number), None)
        if wanted is None and version.stage.lower() in ALIASES:
            wanted = "Archived" if (version.model, version.stage.lower()) in aliases else "None"
        if wanted is not None and wanted != version.stage and not _both(version, evidence):
            found.append((version, version.stage, wanted))
    return found


def _both(version: Version, evidence: Evidence) -> bool:
    """Whether a version has both aliases; it can have but one stage."""
    return all(evidence.tracking.aliases.get((version.model, alias)) == version.number for alias in ALIASES)


def _stages(evidence: Evidence) -> Iterator[Violation]:
    for version, stage, wanted in stages_to_move(evidence):
        what = f"the stage must follow the alias, which is the truth: {wanted}, but is {stage}"
        do = "`make doctor REPAIR=1` moves it, or promote again; a promotion was cut short, or somebody used MLflow's UI"
        yield _wrong(f"{version.model} version {version.number}", what, do)


def _wrong(where: str, what: str, do: str) -> Violation:
    return Violation("I14", "", where, what, do)
