"""Reproduction: train a past run again from its record alone, and say how the two compare."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

from ocr_sweep.config.model import TimmConfig
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import file_lock
from ocr_sweep.errors import EvidenceError
from ocr_sweep.sweep.reproduction.past import Past, recall
from ocr_sweep.sweep.reproduction.verdict import Reproduction, judge
from ocr_sweep.sweep.running.breaker import Breaker
from ocr_sweep.sweep.running.local_engine import LocalEngine
from ocr_sweep.sweep.running.needs import Needs
from ocr_sweep.sweep.running.outage import Stores
from ocr_sweep.sweep.running.placing import Placing
from ocr_sweep.sweep.running.runner import Runner
from ocr_sweep.sweep.running.starting import Starter
from ocr_sweep.sweep.signals import Signals
from ocr_sweep.sweep.trials.micro_batches import parts_of, throughout
from ocr_sweep.sweep.watching.board import Board, Job, Result
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.provenance import provenance
from ocr_sweep.tracking.record import Outcome, RunRecord
from ocr_sweep.tracking.test_readings import read_test
from ocr_sweep.tracking.tracker import Tracker


def reproduce(run_id: str, paths: Paths, board: Board, announce: Callable[[Sequence[str]], None]) -> Reproduction:
    """Train a run again in a new run tagged with the old one.

    Args:
        announce: hears what differs from then (data, code, library, machine), before training.

    Raises:
        NotFoundError: there is no such run.
        EvidenceError: the run never completed, or its training cannot be repeated here.
        IntegrityError: what it recorded, or the corpus, was changed since.
    """
    with Signals().listening() as signals:
        tracker = Tracker.open(paths)
        past = recall(tracker, run_id)
        old, config = past.record, past.config
        engine = LocalEngine(timm=isinstance(config.model, TimmConfig))
        view = past.corpus(paths, signals.between(board.building))
        now = provenance(view)
        different = past.differences(now)
        announce(different)
        with file_lock(
            paths.lock(f"reproduce-{run_id}"), wait=False, busy=f"run {run_id} is being reproduced by another process"
        ):
            starter = Starter(
                engine=engine,
                tracker=tracker,
                experiment_id=tracker.experiment(old.study, {}),
                view=view,
                work=paths.work(".reproduce"),
                provenance=now,
                board=board,
            )
            placing = Placing(engine, Needs(view.num_classes), 1, board)
            stores, breaker = Stores(board.say), Breaker((), board.say)
            runner = Runner(starter, placing, stores, breaker, signals, max_failures=2)  # how the one failed is ours to say
            new = _unjudged(old, tracker) or _train(runner, _job(old, config, tracker)).run_id
            return _compare(tracker, past, tracker.run(new), different)


def _unjudged(old: RunRecord, tracker: Tracker) -> str | None:
    """A reproduction that was killed after its training, before it was compared."""
    mine = [record for record in tracker.runs(old.study) if record.tags.get(tag.REPRODUCES) == old.run_id]
    return next((record.run_id for record in mine if record.complete and tag.VERDICT not in record.tags), None)


def _job(old: RunRecord, config: TrialConfig, tracker: Tracker) -> Job:
    """A job with the next free number; one that was interrupted keeps its own, so that it goes on."""
    mine = [record for record in tracker.runs(old.study) if record.tags.get(tag.REPRODUCES) == old.run_id]
    number = sum(record.complete or record.status == "FAILED" for record in mine) + 1
    return Job(
        old.study,
        old.trial,
        "reproduce",
        f"repro-{old.run_id[:8]}-{number}",
        config,
        reproduces=old.run_id,
        arm=old.tags[tag.ARM],
        parts=throughout(parts_of(old)),
    )


def _train(runner: Runner, job: Job) -> Result:
    jobs, results = iter([job]), list[Result]()
    runner.board.plan(total=1, slots=1)
    runner.drive(lambda: next(jobs, None), lambda *_: False, results.append)
    result = results[0]
    if result.outcome is not Outcome.COMPLETE:
        raise EvidenceError(f"the training could not be repeated: {result.reason}")
    return result


def _compare(tracker: Tracker, past: Past, new: RunRecord, different: list[str]) -> Reproduction:
    """Record the verdict; its tag is the last write."""
    now, then = parts_of(new), past.parts
    if now and now != throughout(then):
        different = [*different, f"batches: passed in {now.count} parts, because there was not the memory for larger ones"]
    read_test(tracker, (past.record, new), "reproduction")
    reproduction = judge(tracker, past, new, different)
    tracker.upload_text(new.run_id, json.dumps(reproduction.as_dict(), ensure_ascii=False, indent=1), "reproduction.json")
    tracker.set_tags(new.run_id, {tag.VERDICT: reproduction.grade.value})
    return reproduction
