"""What can be mended safely: shown line by line, then done, under the locks of those who write.

Nothing here deletes evidence. Optuna is told last, so where it was told, it is believed, and a result only once its
files are whole. Writing is done by the code that always writes; what to write is found out by reading alone.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import store_errors
from ocr_sweep.doctor import words
from ocr_sweep.doctor.evidence import Evidence, StudyEvidence, gather, is_reproduced
from ocr_sweep.doctor.files import damage_of
from ocr_sweep.doctor.leftovers import old_leftovers
from ocr_sweep.doctor.modes import writable_by_all
from ocr_sweep.doctor.records import Run, Trial
from ocr_sweep.doctor.registry import stages_to_move
from ocr_sweep.errors import ConflictError
from ocr_sweep.registry.pointer import set_stage
from ocr_sweep.registry.register import registry_lock
from ocr_sweep.sweep.search.storage import tell
from ocr_sweep.sweep.study_lock import study_lock
from ocr_sweep.tracking.record import Outcome
from ocr_sweep.tracking.tracker import Tracker

_ROUNDS = 3  # one change may open the way for another: a run is ended, its hashes are tagged, its trial is told
_GOES_ON = "goes on when the study is run again"


@dataclass(frozen=True)
class Change:
    """One thing that is mended."""

    invariant: str
    where: str
    before: str
    after: str
    make: Callable[[], None]

    def __str__(self) -> str:
        return f"{self.invariant} {self.where}: {self.before} -> {self.after}"


def repair(paths: Paths, say: Callable[[str], None], only: str | None = None) -> int:
    """Mend what can be mended; returns how many changes were made.

    Args:
        say: hears each change before it is made, and what is left alone because somebody is at work.
        only: one study; None: all, and what belongs to none.

    Raises:
        StoreError: a store is away.
    """
    names = [study.name for study in gather(paths, only, quick=True).studies]
    made = sum(_under_lock(paths, name, say) for name in names)
    with registry_lock(paths):
        made += _make(_of_registry(gather(paths, only, quick=True), paths), say)
    return made + (_make(_of_disk(paths), say) if only is None else 0)


def _under_lock(paths: Paths, name: str, say: Callable[[str], None]) -> int:
    with ExitStack() as stack:
        try:
            stack.enter_context(study_lock(name, paths))
        except ConflictError:
            say(f"study {name} is being run, and left alone")
            return 0
        total = 0
        for _ in range(_ROUNDS):
            made = _make(_of_study(gather(paths, name).studies[0], paths), say)
            total += made
            if not made:
                break
        return total


def _make(changes: Iterator[Change], say: Callable[[str], None]) -> int:
    planned = list(changes)
    for change in planned:
        say(str(change))
    for change in planned:
        change.make()
    return len(planned)


def _of_study(study: StudyEvidence, paths: Paths) -> Iterator[Change]:
    tracker = Tracker.open(paths)
    told = {run.run_id: trial for trial, run in study.settled}
    for run in study.runs:
        if not run.deleted:
            yield from _ending(study, run, told.get(run.run_id), paths, tracker)
            yield from _tags(study, run, tracker)
            yield from _reason(run, tracker)
    for summary in study.summaries:
        if summary.status == "RUNNING" and not summary.deleted:
            yield Change("I3", summary.where, "RUNNING", "KILLED, stopped", _stopping(tracker, summary))
    for trial in study.trials:
        if not trial.finished and (recorded := study.run_of(trial)) is not None:
            yield from _telling(study, trial, recorded, paths)


def _ending(study: StudyEvidence, run: Run, told: Trial | None, paths: Paths, tracker: Tracker) -> Iterator[Change]:
    """End a run as Optuna, its files and its own tag say, in this order."""
    wanted = _true_outcome(study, run, told)
    if run.role == "reproduce" and is_reproduced(run, paths):
        return
    if wanted is None or (run.outcome, run.status) == (wanted, words.STATUS[wanted]):
        return
    lost = run.tags.get(words.REASON) or "other: its reason is lost"
    reason = {"stopped": _GOES_ON, "failed": lost, "oom": lost}.get(wanted, "")
    yield Change(
        "I3" if run.status == "RUNNING" else "I2",
        run.where,
        f"{run.status}, {run.outcome or 'no outcome'}",
        f"{words.STATUS[wanted]}, {wanted}",
        lambda: tracker.finish(run.run_id, Outcome(wanted), reason),
    )


def _stopping(tracker: Tracker, run: Run) -> Callable[[], None]:
    return lambda: tracker.finish(run.run_id, Outcome.STOPPED, "is written anew when the study is run again")


def _true_outcome(study: StudyEvidence, run: Run, told: Trial | None) -> str | None:
    """How a run ended; None where nothing proves it."""
    if told is not None:
        outcomes = [outcome for outcome, state in words.STATE.items() if state == told.state]
        outcome = run.outcome if run.outcome in outcomes else outcomes[0]
        return outcome if outcome != "complete" or _proven(study, run, told) else None
    if run.outcome in words.STATUS and (run.outcome != "complete" or not damage_of(study, run)):
        return run.outcome
    if run.status == "RUNNING":
        return "stopped"
    return "complete" if run.status == "FINISHED" and not damage_of(study, run) else None


def _proven(study: StudyEvidence, run: Run, told: Trial) -> bool:
    """Whether a run's files are whole and carry the value that Optuna was told."""
    files = study.files.get(run.run_id)
    sealed = ((files.manifest if files else None) or {}).get("metrics", {})
    return not damage_of(study, run) and sealed.get(study.metric) == told.value


def _telling(study: StudyEvidence, trial: Trial, run: Run, paths: Paths) -> Iterator[Change]:
    """Tell Optuna how a trial ended that was recorded and not told."""
    if run.outcome not in words.STATE or run.status != words.STATUS[run.outcome]:
        return
    value = run.last(study.metric) if run.outcome == "complete" else None
    if run.outcome == "complete" and (value is None or not math.isfinite(value) or damage_of(study, run)):
        return
    values = None if value is None else [value]
    if values is not None and study.against:
        cost = run.last(study.against)
        if cost is None:
            return
        values.append(cost)
    state = words.STATE[run.outcome]
    after = state if value is None else f"{state}, {study.metric} {value!r}"
    yield Change(
        "I2",
        f"trial {trial.number} of {study.name}",
        trial.state,
        after,
        lambda: tell(paths.optuna_url, study.name, trial.number, state, values, run.run_id),
    )


def _tags(study: StudyEvidence, run: Run, tracker: Tracker) -> Iterator[Change]:
    """Write missing hashes into the tags of a run whose files have them."""
    files = study.files.get(run.run_id)
    if not run.complete or files is None:
        return
    for tag, name in ((words.ONNX_SHA256, words.ONNX), (words.WEIGHTS_SHA256, words.WEIGHTS)):
        sealed = files.hashes.get(name)
        if tag not in run.tags and sealed is not None and files.artifacts.sha256(name) == sealed:
            yield Change("I5", run.where, f"no tag {tag}", sealed, _setting(tracker, run, {tag: sealed}))


def _reason(run: Run, tracker: Tracker) -> Iterator[Change]:
    """Give a failure whose reason has no word of the list the word `other`."""
    reason = run.tags.get(words.REASON, "")
    if run.outcome not in ("failed", "oom") or run.status != "FAILED" or reason.partition(":")[0] in words.REASONS:
        return
    after = f"other: {reason or 'its reason is lost'}"[:1000]
    yield Change("I24", run.where, repr(reason), repr(after), _setting(tracker, run, {words.REASON: after}))


def _setting(tracker: Tracker, run: Run, tags: dict[str, str]) -> Callable[[], None]:
    return lambda: tracker.set_tags(run.run_id, tags)


def _of_registry(evidence: Evidence, paths: Paths) -> Iterator[Change]:
    for version, stage, wanted in stages_to_move(evidence):
        yield Change(
            "I14",
            f"{version.model} version {version.number}",
            stage,
            wanted,
            _moving(paths, version.model, version.number, wanted),
        )


def _moving(paths: Paths, model: str, number: int, stage: str) -> Callable[[], None]:
    return lambda: set_stage(Tracker.open(paths), model, number, stage)


def _of_disk(paths: Paths) -> Iterator[Change]:
    for path in old_leftovers(paths):
        yield Change("I12", str(path), "half-written", "removed", _removing(path))
    for path in writable_by_all(paths.mlruns):
        yield Change("I25", str(path), "writable by everybody", "not so", _closing(path))


def _removing(path: Path) -> Callable[[], None]:
    def remove() -> None:
        with store_errors(f"removing {path}"):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)

    return remove


def _closing(path: Path) -> Callable[[], None]:
    def close() -> None:
        with store_errors(f"changing the mode of {path}"):
            path.chmod(path.stat().st_mode & ~0o002)

    return close
