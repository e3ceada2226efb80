"""The numbers: Optuna's, MLflow's, those under seal, and those that the predictions give (I6 to I9, I23)."""

from __future__ import annotations

import io
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import StudyEvidence
from ocr_sweep.doctor.records import Point, Run, Trial
from ocr_sweep.doctor.violation import Violation
from ocr_sweep.doctor.work import as_json

_CURVE = "epoch/"
_RELATIVE = 1e-9  # two ways to add up one mean
_RESTORE = "restore the store that was changed from a backup; which one it was, the other two say"


def check_values(study: StudyEvidence, paths: Paths) -> Iterator[Violation]:
    """Compare every number with its twins."""
    yield from _sealed_numbers(study)
    yield from _told_values(study)
    yield from _told_means(study)
    if not study.quick:
        yield from _recomputed(study, paths)
    yield from _choice(study)
    yield from _curves(study)
    yield from _spools(study)
    yield from _intermediate(study)
    yield from _times(study)


def _sealed_numbers(study: StudyEvidence) -> Iterator[Violation]:
    """I6: MLflow's numbers of record are those under seal."""
    for run in study.complete:
        sealed = _sealed(study, run)
        differing = [name for name, value in sealed.items() if run.last(name) != float(value)]
        if differing:
            name = differing[0]
            more = f", and {len(differing) - 1} more differ" if len(differing) > 1 else ""
            what = f"{name} must be {sealed[name]!r}, as the manifest says, but MLflow has {run.last(name)!r}{more}"
            yield study.wrong("I6", run.where, what, _RESTORE)


def _sealed(study: StudyEvidence, run: Run) -> Mapping[str, float]:
    files = study.files.get(run.run_id)
    metrics = ((files.manifest if files else None) or {}).get("metrics", {})
    return metrics if isinstance(metrics, dict) else {}


def _told_values(study: StudyEvidence) -> Iterator[Violation]:
    """I6: Optuna was told the number of the run."""
    for trial, run in study.settled:
        if trial.state != "COMPLETE" or not run.complete or not trial.finite:
            continue
        recorded = run.last(study.metric)
        if trial.value is None or recorded is None or trial.value != recorded:
            what = f"{study.metric} must be one number, but Optuna has {trial.value!r} and MLflow {recorded!r}"
            yield study.wrong("I6", run.where, what, _RESTORE)


def _told_means(study: StudyEvidence) -> Iterator[Violation]:
    """I6: of a trial with repeats, Optuna was told the mean of their numbers."""
    for trial in study.trials if study.repeats > 1 else ():
        first = f"{trial.number:04d}-search"
        keys = [first, *(f"{first}-repeat{number}" for number in range(2, study.repeats + 1))]
        runs = [run for key in keys for run in study.by_key.get(key, ()) if run.complete]
        recorded = [value for run in runs if (value := run.last(study.metric)) is not None]
        if trial.state != "COMPLETE" or trial.value is None or len(recorded) != study.repeats:
            continue
        mean = math.fsum(recorded) / len(recorded)
        if not math.isclose(trial.value, mean, rel_tol=_RELATIVE):
            what = f"{study.metric} must be the mean of {len(recorded)} repeats, {mean!r}, but Optuna has {trial.value!r}"
            yield study.wrong("I6", f"trial {trial.number}", what, _RESTORE)


def _recomputed(study: StudyEvidence, paths: Paths) -> Iterator[Violation]:
    """I6: the stored predictions give the numbers of record."""
    for run in study.complete:
        files = study.files.get(run.run_id)
        content = files.artifacts.read(words.PREDICTIONS) if files else None
        sets = _set_names(paths, run)
        if files is None or content is None or files.artifacts.sha256(words.PREDICTIONS) != files.hashes.get(words.PREDICTIONS):
            continue  # that is told elsewhere
        for name, value in _accuracies(content, sets).items():
            recorded = run.last(name)
            if recorded is None or not math.isclose(recorded, value, rel_tol=_RELATIVE):
                what = f"{name} must be {value!r}, as the predictions say, but MLflow has {recorded!r}"
                yield study.wrong("I6", run.where, what, _RESTORE)
                break


def _set_names(paths: Paths, run: Run) -> list[str]:
    """The named sets by their number; none where the corpus is not here."""
    manifest = as_json(paths.corpora / run.tags.get(words.CORPUS, "none") / "manifest.json") or {}
    return [str(name) for name in manifest.get("sets", [])]


def _accuracies(predictions: bytes, sets: list[str]) -> dict[str, float]:
    with np.load(io.BytesIO(predictions), allow_pickle=False) as arrays:
        set_id, label, first = arrays["set_id"], arrays["label"], arrays["top5"][:, 0]
    found: dict[str, float] = {}
    for split in ("val", "test"):
        inside = np.isin(set_id, [i for i, name in enumerate(sets) if name.startswith(f"{split}/")])
        if inside.any():
            right = (first == label)[inside]
            found |= {f"{split}/accuracy": float(right.mean()), f"{split}/accuracy_macro": _macro(label[inside], right)}
    return found


def _macro(label: NDArray[np.integer], right: NDArray[np.bool_]) -> float:
    return float(np.mean([right[label == one].mean() for one in np.unique(label)]))


def _choice(study: StudyEvidence) -> Iterator[Violation]:
    """I7: what a study chose by, and whom it chose."""
    if study.optuna is None:
        return
    direction = str(study.optuna.identity.get("direction", ""))
    if study.optuna.directions != ((direction, "minimize") if study.against else (direction,)):
        what = f"Optuna must {direction} the study, but has {', '.join(study.optuna.directions) or 'no direction'}"
        yield study.wrong("I7", "the study", what, "restore Optuna's database from a backup")
    for trial in study.trials:
        if not trial.finite or (trial.value is not None and not math.isfinite(trial.value)):
            what = f"a value must be finite, or it is best for ever, but is {trial.value}"
            yield study.wrong("I7", f"trial {trial.number}", what, "restore Optuna's database from a backup")
    yield from _verdict(study, study.optuna.attributes.get(words.VERDICT))


def _verdict(study: StudyEvidence, verdict: Any) -> Iterator[Violation]:
    if not isinstance(verdict, dict):
        return
    run = next((run for run in study.runs if run.run_id == verdict.get("run_id")), None)
    said = f"the verdict names trial {verdict.get('winner')} and run {verdict.get('run_id')}"
    if run is None or not run.complete:
        came = "there is no such run" if run is None else f"that run is {'deleted' if run.deleted else run.outcome or run.status}"
        yield study.wrong("I7", "the verdict", f"{said}, which must be complete, but {came}", f"{study.again} judges again")
    elif (run.trial, verdict.get("metric")) != (verdict.get("winner"), study.metric):
        what = f"{said} by {verdict.get('metric')}, but that run is of trial {run.trial} and the study goes by {study.metric}"
        yield study.wrong("I7", "the verdict", what, f"{study.again} judges again")


def _curves(study: StudyEvidence) -> Iterator[Violation]:
    """I8: one point an epoch, from the first to the last, without a gap."""
    for run in study.runs:
        if run.deleted or (study.running and run.outcome not in words.STATE):
            continue
        curves = {name: [point.step for point in points] for name, points in run.metrics.items() if name.startswith(_CURVE)}
        for name, steps in sorted(curves.items()):
            if (problem := _gap(steps)) is not None:
                what = f"{name} must have one point an epoch without a gap, but {problem}"
                yield study.wrong("I8", run.where, what, "restore MLflow's database from a backup, or train the run again")
                break
        else:
            if curves and min(map(min, curves.values())) != 1:
                what = f"curves must begin with epoch 1, but begin with {min(map(min, curves.values()))}"
                yield study.wrong("I8", run.where, what, "restore MLflow's database from a backup, or train the run again")


def _gap(steps: list[int]) -> str | None:
    twice = [step for step, count in Counter(steps).items() if count > 1]
    if twice:
        return f"epoch {twice[0]} has {Counter(steps)[twice[0]]}"
    missing = sorted(set(range(min(steps), max(steps) + 1)) - set(steps))
    return f"epoch {missing[0]} has none" if missing else None


def _spools(study: StudyEvidence) -> Iterator[Violation]:
    """I8: what MLflow has of a trial in progress is what the trial wrote down; the rest is still to be sent."""
    for folder in study.folders:
        runs = study.by_key.get(folder.name, [])
        if len(runs) != 1 or study.running:
            continue
        events = folder.events()
        for name, points in sorted(runs[0].metrics.items()):
            wrong = [point for point in points if name.startswith(_CURVE) and not _is_of(events, name, point)]
            if wrong:
                what = f"{name} at epoch {wrong[0].step} must be what {folder.path} says, but is {wrong[0].value!r}"
                do = f"remove {folder.path}: {study.again} trains it anew in a run of its own"
                yield study.wrong("I8", runs[0].where, what, do)
                break


def _is_of(events: Mapping[int, Mapping[str, float]], name: str, point: Point) -> bool:
    return events.get(point.step, {}).get(name) == point.value


def _intermediate(study: StudyEvidence) -> Iterator[Violation]:
    """I9: what the pruner saw is what the curve says."""
    name = f"{_CURVE}{study.metric}"
    for trial, run in study.settled if not study.against else ():
        if not run.deleted and (problem := _differing(trial, _reported(run, name))) is not None:
            step, wanted, came = problem
            what = f"{study.metric} of epoch {step} must be one number, but MLflow has {wanted!r} and Optuna {came!r}"
            yield study.wrong("I9", run.where, what, _RESTORE)


def _reported(run: Run, name: str) -> dict[int, float]:
    """The epochs that a pruner hears of: those of a representation that this trial trained itself, before its handover."""
    second = {point.step for point in run.metrics.get("epoch/stage", ()) if point.value == 2.0}
    forked = {point.step for point in run.metrics.get("epoch/shared", ())}
    after = {point.step for point in run.metrics.get("epoch/handed_over", ())}
    return {point.step: point.value for point in run.metrics.get(name, ()) if point.step not in second | forked | after}


def _differing(trial: Trial, curve: Mapping[int, float]) -> tuple[int, float | None, float | None] | None:
    steps = sorted({*trial.intermediate, *curve})
    return next(
        (
            (step, curve.get(step), trial.intermediate.get(step))
            for step in steps
            if curve.get(step) != trial.intermediate.get(step)
        ),
        None,
    )


def _times(study: StudyEvidence) -> Iterator[Violation]:
    """I23."""
    do = "nothing is lost; the clock was set back meanwhile, or the database was changed"
    for run in study.runs:
        if run.end is not None and run.end < run.start and run.status != "RUNNING":
            what = f"a run must end after it began, but ends {(run.start - run.end) / 1000:g} s before"
            yield study.wrong("I23", run.where, what, do)
    for trial in study.trials:
        if trial.start and trial.end and trial.end < trial.start:
            what = f"a trial must end after it began, but began {trial.start} and ended {trial.end}"
            yield study.wrong("I23", f"trial {trial.number}", what, do)
