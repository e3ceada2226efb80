"""How the project's studies are: out of their states, and out of the stores for those that ran before there were states."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from ocr_sweep.config.load import find_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.sweep.search.storage import find_verdict
from ocr_sweep.sweep.study_lock import is_driven
from ocr_sweep.sweep.watching.state import Condition, StudyState, read_state, state_file
from ocr_sweep.sweep.watching.study_log import log_file
from ocr_sweep.tracking.mlflow_client import is_embedded
from ocr_sweep.tracking.record import OUTCOME, Outcome, RunRecord
from ocr_sweep.tracking.tracker import Tracker, best_first

_METRIC = "val/accuracy_macro"  # by which runs of a study without a verdict are shown


@dataclass(frozen=True)
class Best:
    """The best training so far, or the winner, with its 95 % interval."""

    name: str
    metric: str
    value: float
    low: float | None
    high: float | None
    simulated: bool


@dataclass(frozen=True)
class StudyStatus:
    """How one study is."""

    study: str
    condition: Condition
    done: int = 0  # trainings that have ended
    total: int | None = None  # that are planned; None: not known
    best: Best | None = None
    seconds_left: float | None = None
    since: float | None = None  # seconds since 1970: when its last session began
    heard: float | None = None  # when that was last heard of
    host: str = ""
    pid: int | None = None  # of its supervisor, while it is thought to live
    sentence: str = ""  # the verdict, or why it ended
    log: str = ""  # the file with its sayings


def overview(paths: Paths, study: str | None = None) -> list[StudyStatus]:
    """Every study of the project, or one: those that run first, then by name.

    Raises:
        NotFoundError: no study of this name was ever written or run.
        StoreError: the tracking store is unavailable.
    """
    now = time.time()
    states = _states(paths, study)
    found = {name: status_of(state, paths, now) for name, state in states.items()}
    if study is None or study not in found:
        found = {**_from_runs(paths, study, set(found)), **found}
    if study is not None and not found:
        find_study(study, paths.sweeps)  # refuses what nobody has written
        return [StudyStatus(study, Condition.NEVER_RUN)]
    if study is None:
        written = sorted(file.stem for file in paths.sweeps.glob("*.yaml"))
        found = {**{name: StudyStatus(name, Condition.NEVER_RUN) for name in written}, **found}
    order = list(Condition)
    return sorted(found.values(), key=lambda status: (order.index(status.condition), status.study))


def _states(paths: Paths, study: str | None) -> dict[str, StudyState]:
    files = [state_file(paths, study)] if study else sorted(paths.logs.glob("*.json"))
    states = {file.stem: read_state(file) for file in files}
    return {name: state for name, state in states.items() if state is not None}


def status_of(state: StudyState, paths: Paths, now: float) -> StudyStatus:
    """How a study is that has a state."""
    condition = state.condition(now)
    shown = state.best
    best = None
    if shown is not None and shown.value is not None:
        best = Best(shown.name, state.metric, shown.value, shown.low, shown.high, state.simulated)
    alive = state.is_alive(now)
    return StudyStatus(
        study=state.study,
        condition=condition,
        done=state.done,
        total=max(state.total, state.done),
        best=best,
        seconds_left=state.seconds_left(now) if alive else None,
        since=state.since,
        heard=state.heard,
        host=state.host,
        pid=state.pid if alive else None,
        sentence=f"its process {state.pid} on {state.host} is gone" if condition is Condition.DIED else state.sentence,
        log=str(log_file(paths, state.study)),
    )


def _from_runs(paths: Paths, study: str | None, known: set[str]) -> dict[str, StudyStatus]:
    if is_embedded(paths) and not paths.mlflow_db.exists():
        return {}
    compared = [
        record for record in Tracker.open(paths).runs(study) if record.role in ("search", "confirm") and not record.fenced
    ]
    records = [record for record in compared if record.study not in known]
    names = dict.fromkeys(record.study for record in records)
    return {name: _of_runs(name, [record for record in records if record.study == name], paths) for name in names}


def _of_runs(study: str, records: Sequence[RunRecord], paths: Paths) -> StudyStatus:
    verdict = find_verdict(study, paths)
    running = any(record.status == "RUNNING" for record in records) and is_driven(study, paths)
    done = sum(record.tags.get(OUTCOME) not in (None, Outcome.STOPPED) for record in records)
    metric = verdict["metric"] if verdict else _METRIC
    ranked = best_first(records, metric)
    best = None
    if verdict:
        interval = verdict["interval"]
        best = Best(
            f"trial {verdict['winner']}", metric, interval["value"], interval["low"], interval["high"], verdict["simulated"]
        )
    elif ranked:
        first = ranked[0]
        low, high = (first.metrics.get(f"{metric}_{end}") for end in ("low", "high"))
        best = Best(first.name, metric, first.metrics[metric], low, high, first.simulated)
    return StudyStatus(
        study,
        Condition.RUNNING if running else Condition.FINISHED if verdict else Condition.STOPPED,
        done=done,
        best=best,
        sentence=verdict["sentence"] if verdict else "",
    )
