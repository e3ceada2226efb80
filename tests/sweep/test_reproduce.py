"""The verdict over a run that was trained again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_engine import Fate

from ocr_sweep.disk import file_lock
from ocr_sweep.errors import ConflictError, EvidenceError, NotFoundError, StoppedError
from ocr_sweep.sweep import reproduce as room
from ocr_sweep.sweep.board import SilentBoard
from ocr_sweep.sweep.reproduce import Grade, Reproduction, reproduce, require_reproduced
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]


def finished(faked: Make) -> tuple[Any, str]:
    study = faked(trials=1)
    study.engine(lambda config, name: Fate(right=0.7))
    study.run()
    tracker = Tracker.open(study.paths)
    return study, next(record.run_id for record in tracker.runs("tiny") if record.role == "search")


def again(study: Any, run_id: str, right: float = 0.7, **fate: Any) -> tuple[Reproduction, list[str]]:
    study.engine(lambda config, name: Fate(right=right, **fate))
    named: list[str] = []
    return reproduce(run_id, study.paths, SilentBoard(), named.extend), named


@pytest.mark.parametrize(("right", "grade"), [(0.77, Grade.WITHIN_NOISE), (0.1, Grade.DIVERGED)])
def test_a_verdict_that_is_not_identical(faked: Make, right: float, grade: Grade) -> None:
    study, run_id = finished(faked)
    result, named = again(study, run_id, right)
    assert result.grade is grade and named == []
    if grade is Grade.DIVERGED:
        with pytest.raises(EvidenceError, match=r"diverged: val/accuracy_macro 0\.7000 -> 0\.1000.*nothing that is recorded"):
            require_reproduced(result)
    else:
        require_reproduced(result)
    assert result.new.tags["ocr_sweep.reproduces"] == run_id


def test_what_differs_is_named_before_training_and_after(faked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study, run_id = finished(faked)
    real = room.provenance

    def other(root: Path, view: Any) -> dict[str, Any]:
        now = real(root, view)
        return {**now, "code": {**now["code"], "sha256": "e" * 64}, "libraries": {**now["libraries"], "torch": "9.9"}}

    monkeypatch.setattr(room, "provenance", other)
    result, named = again(study, run_id, right=0.1)
    assert [line.split(" was ")[0] for line in named] == ["code: ocr_sweep", "library: torch"]
    with pytest.raises(EvidenceError, match=r"What differs: code: ocr_sweep was .*; library: torch was .*, is 9\.9"):
        require_reproduced(result)


def test_each_reproduction_is_a_run_of_its_own(faked: Make) -> None:
    study, run_id = finished(faked)
    names = [again(study, run_id)[0].new.name for _ in range(2)]
    assert names == [f"tiny-0000-repro-{run_id[:8]}-1", f"tiny-0000-repro-{run_id[:8]}-2"]


def test_an_interrupted_reproduction_goes_on(faked: Make) -> None:
    study, run_id = finished(faked)
    engine = study.engine(lambda config, name: Fate(right=0.7))

    def stop() -> None:
        if engine.workers[0].attempt.events():
            os.kill(os.getpid(), signal.SIGTERM)

    engine.at_wait = stop
    with pytest.raises(StoppedError):
        reproduce(run_id, study.paths, SilentBoard(), lambda named: None)
    result, _ = again(study, run_id)
    assert result.new.name.endswith("-1")
    roles = [record.role for record in Tracker.open(study.paths).runs("tiny")]
    assert roles.count("reproduce") == 1


def test_a_reproduction_that_was_killed_before_its_verdict_is_judged_and_not_trained_again(
    faked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    study, run_id = finished(faked)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    for point in ("_compare", "_grade"):
        with monkeypatch.context() as patch:
            patch.setattr(room, point, killed)
            with pytest.raises(KeyboardInterrupt):
                again(study, run_id)
    engine = study.engine(lambda config, name: Fate(right=0.7))
    result = reproduce(run_id, study.paths, SilentBoard(), lambda named: None)
    assert engine.started == [] and result.new.name.endswith("-1")
    assert Tracker.open(study.paths).run(result.new.run_id).tags["ocr_sweep.verdict"] == result.grade == Grade.WITHIN_NOISE


def test_a_training_that_fails_is_no_reproduction(faked: Make) -> None:
    study, run_id = finished(faked)
    with pytest.raises(EvidenceError, match="the training could not be repeated: nan-loss"):
        again(study, run_id, fails="nan-loss")


def test_what_cannot_be_reproduced_is_refused(faked: Make) -> None:
    study, run_id = finished(faked)
    with pytest.raises(NotFoundError, match="no run"):
        again(study, "f" * 32)
    with file_lock(study.paths.lock(f"reproduce-{run_id}"), wait=False), pytest.raises(ConflictError, match="being reproduced"):
        again(study, run_id)
    Tracker.open(study.paths).client.set_terminated(run_id, "FAILED")
    with pytest.raises(EvidenceError, match="only a run that completed can be reproduced"):
        again(study, run_id)
