"""The verdict over a run that was trained again."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from fake_engine import Fate

from ocr_sweep.disk import file_lock
from ocr_sweep.errors import ConflictError, EvidenceError, NotFoundError, StoppedError
from ocr_sweep.sweep.reproduction import reproduce as room
from ocr_sweep.sweep.reproduction import verdict
from ocr_sweep.sweep.reproduction.reproduce import reproduce
from ocr_sweep.sweep.reproduction.verdict import Grade, Reproduction, require_reproduced
from ocr_sweep.sweep.watching.board import SilentBoard
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]


SEEDS = {"0000-search": 0.7, "0000-confirm-seed1": 0.74, "0000-confirm-seed2": 0.67}
LOSSES = (3.0, 2.5, 2.0, 1.5)


def finished(faked: Make) -> tuple[Any, str]:
    study = faked(trials=1, confirm={"top": 1, "seeds": 2})
    study.engine(lambda config, name: Fate(right=SEEDS[name], losses=LOSSES))
    study.run()
    tracker = Tracker.open(study.paths)
    return study, next(record.run_id for record in tracker.runs("tiny") if record.role == "search")


def again(study: Any, run_id: str, right: float = 0.7, **fate: Any) -> tuple[Reproduction, list[str]]:
    study.engine(lambda config, name: Fate(right=right, **fate))
    named: list[str] = []
    return reproduce(run_id, study.paths, SilentBoard(), named.extend), named


def test_within_what_seeds_do(faked: Make) -> None:
    study, run_id = finished(faked)
    result, named = again(study, run_id, 0.77, losses=(3.0, 2.5, 2.1, 1.0))
    assert result.grade is Grade.WITHIN_BAND and named == []
    assert result.sentence == (
        "within band: no accuracy differs by more than 3 trainings of 1 configurations with several seeds let expect; "
        "the losses differ from step 3 of 4 on; first differing factor: nothing that is recorded"
    )
    require_reproduced(result)
    assert result.new.tags["ocr_sweep.reproduces"] == run_id
    said = json.loads((study.paths.artifacts / "tiny" / result.new.run_id / "artifacts" / "reproduction.json").read_text())
    assert said["first_differing_step"] == 3 and said["grade"] == "within band"


def test_beyond_what_seeds_do(faked: Make) -> None:
    study, run_id = finished(faked)
    result, _ = again(study, run_id, 0.1, losses=(3.0, 2.4, 2.0, 1.5))
    assert result.grade is Grade.DIVERGED and result.step == 2
    said = r"diverged at step 2 of 4; first differing factor: nothing.*val/accuracy_macro 0\.7000 -> 0\.1000"
    with pytest.raises(EvidenceError, match=said):
        require_reproduced(result)


def test_where_nothing_has_several_seeds_the_intervals_decide() -> None:
    def record(value: float, half: float) -> Any:
        metrics = {f"{name}{end}": value + side * half for name in verdict.JUDGED for end, side in ENDS}
        return SimpleNamespace(metrics=metrics, study="s", trial=0, role="search", complete=True)

    old = record(0.7, 0.03)
    tracker: Any = SimpleNamespace(runs=lambda study: [old])
    for value, holds in ((0.749, True), (0.751, False)):
        band = verdict._band(tracker, old, record(value, 0.04))
        assert band.origin == "the intervals of both (nothing has several seeds)"
        assert band.holds(old, record(value, 0.04)) is holds


ENDS = (("", 0), ("_low", -1), ("_high", 1))


@pytest.mark.parametrize(
    ("old", "new", "step"),
    [
        ([1.0, 2.0], [1.0, 2.0], None),
        ([1.0, 2.0], [1.0, 2.0000002], 2),
        ([0.0, 2.0], [-0.0, 2.0], 1),
        ([1.0, 2.0], [1.0], 2),
        ([1.0], [1.0, 2.0], 2),
    ],
)
def test_the_first_step_that_differs_by_a_bit(old: list[float], new: list[float], step: int | None) -> None:
    assert verdict.first_difference(np.asarray(old, np.float32), np.asarray(new, np.float32)) == step


def test_what_differs_is_named_before_training_and_after(faked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study, run_id = finished(faked)
    real = room.provenance

    def other(view: Any) -> dict[str, Any]:
        now = real(view)
        return {**now, "code": {**now["code"], "sha256": "e" * 64}, "libraries": {**now["libraries"], "torch": "9.9"}}

    monkeypatch.setattr(room, "provenance", other)
    result, named = again(study, run_id, right=0.1)
    assert [line.split(" was ")[0] for line in named] == ["code: ocr_sweep", "library: torch"]
    with pytest.raises(
        EvidenceError, match=r"factor: code: ocr_sweep was .*All that differs: code.*; library: torch was .*, is 9\.9"
    ):
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

    for point in ("_compare", "judge"):
        with monkeypatch.context() as patch:
            patch.setattr(room, point, killed)
            with pytest.raises(KeyboardInterrupt):
                again(study, run_id)
    engine = study.engine(lambda config, name: Fate(right=0.7))
    result = reproduce(run_id, study.paths, SilentBoard(), lambda named: None)
    assert engine.started == [] and result.new.name.endswith("-1")
    assert Tracker.open(study.paths).run(result.new.run_id).tags["ocr_sweep.verdict"] == result.grade == Grade.WITHIN_BAND


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
