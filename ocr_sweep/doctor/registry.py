"""What is in production, for everybody or for a customer, and whether it may be (I14)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import Evidence
from ocr_sweep.doctor.history import gate_record, is_unfinished, last_promotion, read_history
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
        elif _is_ours(alias) and (version.run_id in runs or not evidence.limited):
            problems = list(_promoted(version, alias, runs.get(version.run_id)))
            yield from problems or _gate(evidence, version, alias)
    yield from _stages(evidence)


def _is_ours(alias: str) -> bool:
    return alias in ALIASES or alias.startswith(f"{ALIASES[0]}-")  # a customer's


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


def _gate(evidence: Evidence, version: Version, alias: str) -> Iterator[Violation]:
    """The gate's record of the promotion: there, as it was signed, about this very file, and it says yes or was overruled."""
    entry = last_promotion(read_history(evidence, version.model)[0], alias)
    run = next((run for run in evidence.complete if run.run_id == version.run_id), None)
    files = evidence.files(run) if run is not None else None
    if entry is None or run is None or files is None:
        return  # it was promoted before there was a gate, or cannot be read from here
    where, do = f"{version.model}@{alias}, version {version.number}", "promote it again: the gate judges it anew"
    name = gate_record(entry) or "a record of the gate"
    content = files.artifacts.read(name)
    if content is None or hashlib.sha256(content).hexdigest() != entry["evidence"].get(name):
        yield _wrong(
            where,
            f"{name} must be at run {run.run_id} as its history names it, but is {'gone' if content is None else 'changed'}",
            do,
        )
        return
    record = json.loads(content)["record"]
    if record["files"].get(words.ONNX) != run.tags.get(words.ONNX_SHA256):
        yield _wrong(where, f"{name} must be about the run's own file, but is about another", do)
    elif not (record["passed"] or entry["forced"]):
        yield _wrong(where, f"{name} must say that the gate passed, but it did not, and nobody overruled it", do)


def stages_to_move(evidence: Evidence) -> list[tuple[Version, str, str]]:
    """The versions whose stage is not what the aliases say: (version, stage, the stage that it should have)."""
    known = {run.run_id for study in evidence.studies for run in study.runs}
    found = []
    for version in evidence.tracking.versions:
        if (evidence.limited and version.run_id not in known) or is_unfinished(evidence, version.model):
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
