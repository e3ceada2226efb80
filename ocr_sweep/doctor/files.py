"""The files of finished runs: there, as they were sealed, and what they should be (I5, I16, I24, I25)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import Evidence, RunFiles, StudyEvidence
from ocr_sweep.doctor.records import Run
from ocr_sweep.doctor.violation import Violation

_SEALED = (words.ONNX, words.WEIGHTS, words.PREDICTIONS, words.CONFIG, words.PROVENANCE)
_TEXTS = (words.CONFIG, words.PROVENANCE, words.MANIFEST, words.LOG)
_SHORTEST_SECRET = 6  # characters; less would be found by chance


def check_files(study: StudyEvidence, secrets: Mapping[str, str]) -> Iterator[Violation]:
    """Look at the files of a study's runs.

    Args:
        secrets: passwords by the name of their setting; none of them may stand in a record.
    """
    for run in study.complete:
        files = study.files.get(run.run_id)
        if files is None:
            continue
        damaged = list(_seal(study, run, files))
        yield from damaged
        if not damaged and not study.quick:
            yield from _model(study, run, files)
        yield from _parity(study, run, files)
    yield from _reasons(study)
    for run in study.runs:
        yield from _secrets(study, run, secrets)


def _seal(study: StudyEvidence, run: Run, files: RunFiles) -> Iterator[Violation]:
    """I5."""
    if files.manifest is None:
        yield _damaged(study, run, f"{words.MANIFEST} must be there and readable, but is not")
        return
    missing = [name for name in _SEALED if name not in files.hashes]
    if missing:
        yield _damaged(study, run, f"the manifest must hold {', '.join(missing)}")
    for name, expected in sorted(files.hashes.items()):
        problem = _missing(files, name) if study.quick else _changed(files, name, expected)
        if problem:
            yield _damaged(study, run, problem)
    for tag, name in ((words.ONNX_SHA256, words.ONNX), (words.WEIGHTS_SHA256, words.WEIGHTS)):
        sealed, tagged = files.hashes.get(name), run.tags.get(tag)
        if tagged is None and sealed is not None:
            what = f"the tag {tag} must hold the sha256 of {name}, but is missing"
            yield study.wrong("I5", run.where, what, "`make doctor REPAIR=1` writes it again, after comparing the file")
        elif sealed is not None and tagged != sealed:
            yield _damaged(study, run, f"{name} must have sha256 {tagged}, as the tag {tag} says, but the manifest says {sealed}")


def damage_of(study: StudyEvidence, run: Run) -> list[str]:
    """What is wrong with the sealed files of a run; empty: they are whole."""
    files = study.files.get(run.run_id)
    if files is None:
        return ["its files cannot be read from here"]
    return [violation.what for violation in _seal(study, run, files) if "`make doctor REPAIR=1`" not in violation.do]


def _missing(files: RunFiles, name: str) -> str | None:
    return None if name in files.present else f"{name} must be there, but is not"


def _changed(files: RunFiles, name: str, expected: str) -> str | None:
    came = files.artifacts.sha256(name)
    return None if came == expected else f"{name} must have sha256 {expected}, but has {came or 'no file'}"


def _damaged(study: StudyEvidence, run: Run, what: str) -> Violation:
    do = f"restore the file from a backup, or train the run again: `make reproduce RUN={run.run_id}`; it is not promoted so"
    return study.wrong("I5", run.where, what, do)


def _model(study: StudyEvidence, run: Run, files: RunFiles) -> Iterator[Violation]:
    """I16: the exported file is one that can be delivered."""
    from ocr_sweep.doctor.onnx_file import problem_of

    content = files.artifacts.read(words.ONNX)
    chars = (files.config or {}).get("corpus", {}).get("charset", {}).get("chars", "")
    problem = problem_of(content or b"", str(chars))
    if problem:
        do = f"do not promote it; train the run again: `make reproduce RUN={run.run_id}`"
        yield study.wrong("I16", run.where, f"{words.ONNX} {problem}", do)


def _parity(study: StudyEvidence, run: Run, files: RunFiles) -> Iterator[Violation]:
    """I16: the certificate says that the exported file answers like the network."""
    if words.PARITY not in files.hashes:
        return  # of a version that had none
    parity = files.parity
    if parity is None or not _holds(parity):
        what = f"{words.PARITY} must certify the exported file, but says {parity}"
        yield study.wrong("I16", run.where, what, f"do not promote it; train it again: `make reproduce RUN={run.run_id}`")


def _holds(parity: Mapping[str, Any]) -> bool:
    """Whether the numbers of a certificate hold, whatever it concludes from them."""
    try:
        return bool(parity["holds"]) and float(parity["max_difference"]) <= float(parity["tolerance"]) and not parity["flips"]
    except (KeyError, TypeError, ValueError):
        return False


def _reasons(study: StudyEvidence) -> Iterator[Violation]:
    """I24."""
    for run in study.runs:
        if run.deleted or run.outcome not in ("failed", "oom"):
            continue
        reason = run.tags.get(words.REASON, "")
        if reason.partition(":")[0] not in words.REASONS:
            what = f"the reason of a failure must begin with one of {', '.join(words.REASONS)}, but is {reason!r}"
            yield study.wrong("I24", run.where, what, "`make doctor REPAIR=1` writes `other:` before it")
        files = study.files.get(run.run_id)
        if reason.startswith("bug:") and files is not None and words.LOG not in files.present:
            what = f"a bug must leave its traceback in {words.LOG}, but there is none"
            yield study.wrong("I24", run.where, what, f"{study.again} with OCR_SWEEP_DEBUG=1 shows it again")


def _secrets(study: StudyEvidence, run: Run, secrets: Mapping[str, str]) -> Iterator[Violation]:
    """I25: no password stands in a record."""
    if not secrets:
        return
    files = study.files.get(run.run_id)
    texts = {f"tag {name}": value for name, value in run.tags.items()}
    texts |= {f"parameter {name}": value for name, value in run.params.items()}
    if files is not None and not study.quick:
        texts |= {name: (files.artifacts.read(name) or b"").decode(errors="replace") for name in _TEXTS}
    for setting, secret in secrets.items():
        found = next((place for place, text in texts.items() if secret in text), None)
        if found:
            what = f"no record may hold a password, but {found} holds that of {setting}"
            yield study.wrong("I25", run.where, what, "change the password; then remove it from the record by hand")


def known_secrets(evidence: Evidence) -> dict[str, str]:
    """The passwords of this project's settings."""
    from sqlalchemy.engine import make_url

    paths = evidence.paths
    urls = {"OCR_SWEEP_OPTUNA_URL": paths.optuna_url, "MLFLOW_TRACKING_URI": paths.tracking_uri}
    found = {name: make_url(url).password or "" for name, url in urls.items()}
    for name in ("MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN", "AWS_SECRET_ACCESS_KEY"):
        found[name] = os.environ.get(name, "")
    return {name: secret for name, secret in found.items() if len(secret) >= _SHORTEST_SECRET}
