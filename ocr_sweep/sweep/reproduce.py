"""Reproduction: train a past run again from its record alone, and say how the two compare."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from ocr_sweep.config.model import TimmConfig
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import file_lock, read_json
from ocr_sweep.errors import EvidenceError
from ocr_sweep.sweep.attempt import CONFIG, PREDICTIONS, PROVENANCE, read_config
from ocr_sweep.sweep.board import Board, Job, Result
from ocr_sweep.sweep.breaker import Breaker
from ocr_sweep.sweep.corpora import open_corpus
from ocr_sweep.sweep.local_engine import LocalEngine
from ocr_sweep.sweep.micro_batches import MicroBatches, parts_of, throughout
from ocr_sweep.sweep.needs import Needs
from ocr_sweep.sweep.outage import Stores
from ocr_sweep.sweep.placing import Placing
from ocr_sweep.sweep.runner import Runner
from ocr_sweep.sweep.signals import Signals
from ocr_sweep.sweep.starting import Starter
from ocr_sweep.tracking import record as tag
from ocr_sweep.tracking.provenance import differences, provenance
from ocr_sweep.tracking.record import Outcome, RunRecord
from ocr_sweep.tracking.test_readings import read_test
from ocr_sweep.tracking.tracker import Tracker

JUDGED = ("val/accuracy_macro", "val/accuracy", "test/accuracy")


class Grade(StrEnum):
    """How two trainings of one configuration compare."""

    IDENTICAL = "identical"  # weights, predictions and metrics are equal to the last bit
    WITHIN_NOISE = "within noise"  # every accuracy lies within the intervals of both
    DIVERGED = "diverged"


@dataclass(frozen=True)
class Reproduction:
    """A run trained again."""

    grade: Grade
    old: RunRecord
    new: RunRecord
    differences: tuple[str, ...]  # what differs between the two, in words

    def as_dict(self) -> dict[str, Any]:
        """Plain data for a record."""
        return {
            "grade": self.grade.value,
            "old": self.old.run_id,
            "new": self.new.run_id,
            "differences": list(self.differences),
            "metrics": {name: [self.old.metrics.get(name), self.new.metrics.get(name)] for name in JUDGED},
        }


def reproduce(run_id: str, paths: Paths, board: Board, announce: Callable[[Sequence[str]], None]) -> Reproduction:
    """Train a run again in a new run tagged with the old one.

    Args:
        announce: hears what differs from then (data, code, library, machine), before training.

    Raises:
        NotFoundError: there is no such run.
        EvidenceError: the run never completed, or its training cannot be repeated here.
    """
    with Signals().listening() as signals:
        tracker = Tracker.open(paths)
        old = tracker.run(run_id)
        if not old.complete:
            raise EvidenceError(
                f"only a run that completed can be reproduced, but run {run_id} ({old.name}) is "
                f"{old.tags.get(tag.OUTCOME, old.status.lower())}"
            )
        with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
            config = read_config(tracker.artifact(run_id, CONFIG, Path(folder)))
            then = read_json(tracker.artifact(run_id, PROVENANCE, Path(folder)))
        engine = LocalEngine(timm=isinstance(config.model, TimmConfig))
        engine.warm_up()
        view = open_corpus(config.corpus, paths, signals.between(board.building))
        now = provenance(paths.root, view)
        different = [*differences(then, now), *_larger_parts(parts_of(old))]
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
            return _compare(tracker, old, tracker.run(new), different)


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


def _larger_parts(parts: MicroBatches | None) -> list[str]:
    """What cannot be repeated of a run that found out on its way how little memory there was."""
    if parts is None or parts.since == 0:
        return []
    return [f"batches: passed in larger parts until epoch {parts.since}, now all pass in {parts.count}"]


def _train(runner: Runner, job: Job) -> Result:
    jobs, results = iter([job]), list[Result]()
    runner.board.plan(total=1, slots=1)
    runner.drive(lambda: next(jobs, None), lambda *_: False, results.append)
    result = results[0]
    if result.outcome is not Outcome.COMPLETE:
        raise EvidenceError(f"the training could not be repeated: {result.reason}")
    return result


def _compare(tracker: Tracker, old: RunRecord, new: RunRecord, different: list[str]) -> Reproduction:
    """Record the verdict; its tag is the last write."""
    now, then = parts_of(new), parts_of(old)
    if now and now != throughout(then):
        different = [*different, f"batches: passed in {now.count} parts, because there was not the memory for larger ones"]
    read_test(tracker, (old, new), "reproduction")
    reproduction = Reproduction(_grade(tracker, old, new), old, new, tuple(different))
    tracker.upload_text(new.run_id, json.dumps(reproduction.as_dict(), ensure_ascii=False, indent=1), "reproduction.json")
    tracker.set_tags(new.run_id, {tag.VERDICT: reproduction.grade.value})
    return reproduction


def _grade(tracker: Tracker, old: RunRecord, new: RunRecord) -> Grade:
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        hashes = [tracker.manifest(record.run_id, Path(folder)) for record in (old, new)]
    proofs = ("weights.safetensors", "model/model.onnx", PREDICTIONS)
    if all(hashes[0].get(name) == hashes[1].get(name) for name in proofs):
        return Grade.IDENTICAL
    return Grade.WITHIN_NOISE if all(_within_noise(name, old, new) for name in JUDGED) else Grade.DIVERGED


def _within_noise(name: str, old: RunRecord, new: RunRecord) -> bool:
    """Whether two accuracies differ by no more than their intervals, taken as independent, allow."""
    half = math.hypot(*((record.metrics[f"{name}_high"] - record.metrics[f"{name}_low"]) / 2 for record in (old, new)))
    return abs(old.metrics[name] - new.metrics[name]) <= half


def require_reproduced(reproduction: Reproduction) -> None:
    """Refuse a reproduction that diverged.

    Raises:
        EvidenceError: with the numbers and what differs.
    """
    if reproduction.grade is not Grade.DIVERGED:
        return
    old, new = reproduction.old.metrics, reproduction.new.metrics
    numbers = ", ".join(f"{name} {old[name]:.4f} -> {new[name]:.4f}" for name in JUDGED)
    named = "; ".join(reproduction.differences) or "nothing that is recorded"
    raise EvidenceError(f"diverged: {numbers}. What differs: {named}")
