"""Every trial has its run, every run its trial, and the two say the same of how they ended (I1 to I4)."""

from __future__ import annotations

from collections.abc import Iterator

from ocr_sweep.config.paths import Paths
from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import StudyEvidence, is_reproduced
from ocr_sweep.doctor.records import Run, Trial
from ocr_sweep.doctor.violation import Violation


def check_pairs(study: StudyEvidence, paths: Paths) -> Iterator[Violation]:
    """Compare Optuna's trials with MLflow's runs."""
    yield from _numbers(study)
    yield from _one_run_each(study)
    yield from _one_trial_each(study)
    yield from _states(study)
    yield from _outcomes(study)
    yield from _owners(study, paths)


def _numbers(study: StudyEvidence) -> Iterator[Violation]:
    """I4."""
    numbers = [trial.number for trial in study.trials]
    if numbers != list(range(len(numbers))):
        listed = ", ".join(map(str, numbers[:20])) + (" ..." if len(numbers) > 20 else "")
        what = f"trials must be numbered 0 to {len(numbers) - 1}, but Optuna has {listed}"
        yield study.wrong("I4", "Optuna's trials", what, "restore Optuna's database from a backup: rows were removed or changed")


def _one_run_each(study: StudyEvidence) -> Iterator[Violation]:
    """I1, from the side of the trials."""
    for key, runs in sorted(study.by_key.items()):
        if len(runs) > 1:
            ids = ", ".join(run.run_id for run in runs)
            do = "keep the one that is whole, delete the others in `make ui`"
            yield study.wrong("I1", runs[0].name, f"one training must be one run, but the key {key} has {len(runs)}: {ids}", do)
    for trial in study.trials:
        if not trial.finished or not trial.ran:
            continue
        where, key = f"trial {trial.number}", f"{trial.number:04d}-search"
        told, run = trial.attributes.get(words.RUN_ID), study.run_of(trial)
        if run is None and key not in study.by_key:
            yield study.wrong(
                "I1", where, f"a trial that is {trial.state} must have a run, but {_lost(study, told)}", _find(told)
            )
        elif run is not None and told is not None and told != run.run_id:
            what = f"the trial must name its run, {run.run_id}, but names {told}"
            yield study.wrong(
                "I1", run.where, what, "restore Optuna's database from a backup: the name was changed after the trial was told"
            )


def _lost(study: StudyEvidence, told: object) -> str:
    gone = next((run for run in study.runs if run.run_id == told and run.deleted), None)
    return f"its run {told} is deleted" if gone else f"MLflow has none ({told or 'and none is named'})"


def _find(told: object) -> str:
    return f"`mlflow runs restore --run-id {told}` if it was deleted by mistake; else restore MLflow's database from a backup"


def _one_trial_each(study: StudyEvidence) -> Iterator[Violation]:
    """I1, from the side of the runs."""
    known = {trial.number for trial in study.trials}
    for run in study.runs:
        if run.current and run.trial not in known:
            what = f"a run must belong to a trial, but Optuna knows no trial {run.trial} of this study"
            do = "restore the Optuna database that is as young as MLflow's; nothing of the run is lost"
            yield study.wrong("I1", run.where, what, do)


def _states(study: StudyEvidence) -> Iterator[Violation]:
    """I2: what Optuna was told, and how the run of the search ended."""
    for trial in study.trials:
        run = study.run_of(trial)
        if run is None or run.status == "RUNNING" or (study.running and not trial.finished):
            continue
        if not trial.finished:
            if run.outcome in words.STATE:
                what = f"Optuna must have been told how the trial ended, but has it {trial.state}, and its run is {run.outcome}"
                yield study.wrong("I2", run.where, what, f"`make doctor REPAIR=1` tells it; {study.again} does, too")
        elif run.outcome not in (wanted := _outcomes_of(trial)):
            what = f"the run of a trial that is {trial.state} must be {' or '.join(wanted)}, but is {run.outcome or run.status}"
            yield study.wrong("I2", run.where, what, _whom_to_believe(trial))


def _outcomes_of(trial: Trial) -> list[str]:
    return [outcome for outcome, state in words.STATE.items() if state == trial.state]


def _whom_to_believe(trial: Trial) -> str:
    if trial.state == "COMPLETE":
        return "`make doctor REPAIR=1` believes Optuna where the run's files are whole; else restore a backup of one database"
    return "restore one of the two databases from a backup: the last write of a trial is Optuna's, so MLflow's was changed since"


def _outcomes(study: StudyEvidence) -> Iterator[Violation]:
    """I2: MLflow's own status, and what the run's tag says."""
    for run in study.runs:
        if run.deleted or run.status == "RUNNING" or (study.running and run.outcome not in words.STATE):
            continue
        wanted = words.STATUS.get(run.outcome)
        if wanted is None and run in _judged_as_pair(study):
            continue
        if wanted != run.status:
            must = wanted or "one of a known outcome"
            what = f"the status of a run whose outcome is {run.outcome or 'not said'} must be {must}, but is {run.status}"
            yield study.wrong("I2", run.where, what, "`make doctor REPAIR=1` ends it as its tag says, if it says something")


def _judged_as_pair(study: StudyEvidence) -> list[Run]:
    return [run for _, run in study.settled]


def _owners(study: StudyEvidence, paths: Paths) -> Iterator[Violation]:
    """I3: what says that it is running is being run."""
    for run in (*study.runs, *study.summaries):
        alive = is_reproduced(run, paths) if run.role == "reproduce" else study.running
        if run.status == "RUNNING" and not run.deleted and not alive:
            what = "a run that says RUNNING must be run by somebody, but nobody runs the study"
            yield study.wrong(
                "I3", run.where, what, f"{study.again} goes on with it; `make doctor REPAIR=1` only ends it truthfully"
            )
    for folder in study.folders:
        if folder.held and not study.running:
            what = "a process of a trial must have a supervisor, but one lives while nobody runs the study"
            yield study.wrong("I3", str(folder.path), what, "wait: it checkpoints and ends by itself within a batch")
