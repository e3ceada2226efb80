"""The study loop on trials that train nothing: budgets, failures, resuming, and crashes between two writes."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_engine import Fate, folders
from tiny_study import config_of, write_study

from ocr_sweep.disk import file_lock
from ocr_sweep.errors import ConflictError, StoppedError, StoreError, TooManyFailuresError
from ocr_sweep.sweep.running import recording
from ocr_sweep.sweep.running.runner import Runner
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.trials.events import Event
from ocr_sweep.sweep.watching.board import Job, SilentBoard
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]


class Killed(BaseException):
    """A kill at a chosen point: nothing is tidied up."""


def half(config: object, name: str) -> Fate:
    return Fate()


def states(faked: Any) -> list[str]:
    storage = optuna.storages.RDBStorage(faked.paths.optuna_url)
    return [trial.state.name for trial in optuna.load_study(study_name="tiny", storage=storage).trials]


def records(faked: Any) -> dict[str, RunRecord]:
    found = Tracker.open(faked.paths).runs("tiny")
    assert len({record.name for record in found}) == len(found), "one run for each training"
    return {record.name: record for record in found}


def test_the_budget_counts_finished_trials_over_sessions(faked: Make) -> None:
    study = faked()
    engine = study.engine(half)
    study.run()
    assert engine.started == ["0000-search", "0001-search", "0002-search", "0000-confirm-seed1", "0001-confirm-seed1"]
    study.run()
    assert len(engine.started) == 5, "a finished study trains nothing more"
    write_study(study.root, trials=5)
    study.run()
    assert engine.started[5:] == ["0003-search", "0004-search"]
    assert states(study) == ["COMPLETE"] * 5


def test_a_failed_trial_keeps_its_reason_and_the_study_goes_on(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(fails="nan-loss: the loss is inf" if name == "0001-search" else ""))
    end = study.run()
    failed = records(study)["tiny-0001"]
    assert (failed.status, failed.tags["ocr_sweep.outcome"]) == ("FAILED", "failed")
    assert failed.tags["ocr_sweep.reason"] == "nan-loss: the loss is inf"
    assert "val/accuracy_macro" not in failed.metrics and "epoch/train_loss" in failed.metrics
    assert states(study) == ["COMPLETE", "FAIL", "COMPLETE"]
    assert end.verdict.winner in (0, 2)


def test_failures_in_a_row_stop_the_study(faked: Make) -> None:
    study = faked(trials=9, max_failures=2)
    engine = study.engine(lambda config, name: Fate(fails="" if name == "0000-search" else "nan-loss"))
    with pytest.raises(TooManyFailuresError, match=r"2 trials in a row failed.*nan-loss"):
        study.run()
    assert engine.started == ["0000-search", "0001-search", "0002-search"]
    assert records(study)["tiny-0000"].complete
    study.engine(half)
    study.run()
    assert states(study) == ["COMPLETE", "FAIL", "FAIL", *["COMPLETE"] * 6], "the mended study goes on"


def test_a_study_without_one_result_has_no_winner(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(fails="nan-loss"))
    with pytest.raises(TooManyFailuresError, match="none of its 3 trials ended with a result") as caught:
        study.run()
    assert caught.value.exit_code == 6


def test_a_failed_confirmation_is_tried_again_by_the_next_session(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(fails="nan-loss" if "confirm" in name else ""))
    with pytest.raises(TooManyFailuresError, match="none of its confirming trainings"):
        study.run()
    engine = study.engine(half)
    study.run()
    assert engine.started == ["0000-confirm-seed1", "0001-confirm-seed1"]
    assert all(record.complete and "ocr_sweep.reason" not in record.tags for record in records(study).values())
    for record in records(study).values():
        points = Tracker.open(study.paths).client.get_metric_history(record.run_id, "epoch/train_loss")
        assert [point.step for point in points] == [1, 2], "the failed training keeps its epochs to itself"


def test_a_pruned_trial_is_finished_and_says_so(faked: Make) -> None:
    study = faked(trials=4, base__training__epochs=4, pruner={"kind": "median", "warmup_epochs": 1, "startup_trials": 2})
    study.engine(lambda config, name: Fate(right=0.1 if name == "0003-search" else 0.9))
    study.run()
    pruned = records(study)["tiny-0003"]
    assert (pruned.status, pruned.tags["ocr_sweep.outcome"]) == ("FINISHED", "pruned")
    assert "val/accuracy_macro" not in pruned.metrics
    assert states(study) == ["COMPLETE", "COMPLETE", "COMPLETE", "PRUNED"]


def test_a_process_that_dies_is_started_again_and_given_up_at_last(faked: Make) -> None:
    study = faked()
    engine = study.engine(lambda config, name: Fate(dies={"0000-search": 2, "0001-search": 99}.get(name, 0)))
    said: list[str] = []
    board = SilentBoard()
    board.say = said.append  # type: ignore[method-assign]
    study.run(board)
    assert engine.started.count("0000-search") == 3 and engine.started.count("0001-search") == 3
    assert records(study)["tiny-0000"].complete
    assert "died: its process was killed by SIGKILL, and so 3 times" in records(study)["tiny-0001"].tags["ocr_sweep.reason"]
    assert sum("started again from its last checkpoint" in line for line in said) == 4


def test_a_trial_that_cannot_write_stops_the_study_and_goes_on_later(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(dies=1, code=StoreError.exit_code))
    with pytest.raises(StoreError, match="trial tiny-0000 could not write"):
        study.run()
    assert records(study)["tiny-0000"].status == "KILLED"
    study.engine(half)
    study.run()
    assert states(study) == ["COMPLETE"] * 3 and all(record.complete for record in records(study).values())


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_stops_after_a_checkpoint_and_the_next_session_goes_on(faked: Make, number: signal.Signals) -> None:
    study = faked(base__training__epochs=3)
    engine = study.engine(half)
    engine.at_wait = lambda: os.kill(os.getpid(), number) if len(folders(study.root)) == 1 and _epochs(study) == 2 else None
    with pytest.raises(StoppedError, match=number.name) as caught:
        study.run()
    assert caught.value.exit_code == 128 + number
    stopped = records(study)["tiny-0000"]
    assert (stopped.status, stopped.tags["ocr_sweep.outcome"]) == ("KILLED", "stopped")
    assert states(study)[0] == "RUNNING" and folders(study.root) == ["0000-search"]
    assert not any(worker.killed for worker in engine.workers), "asked, not killed"
    study.engine(half)
    study.run()
    assert {record.status for record in records(study).values()} == {"FINISHED"}
    assert all("ocr_sweep.reason" not in record.tags for record in records(study).values())
    assert states(study) == ["COMPLETE"] * 3


def _epochs(study: Any) -> int:
    return len(Attempt(study.paths.work("tiny") / "0000-search").events())


def test_a_second_ctrl_c_waits_for_nobody(faked: Make) -> None:
    study = faked(base__training__epochs=3)
    engine = study.engine(half)

    def deaf() -> None:
        for worker in engine.workers:
            worker.step = lambda: None  # type: ignore[method-assign]
        os.kill(os.getpid(), signal.SIGINT)

    engine.at_wait = deaf
    with pytest.raises(KeyboardInterrupt):
        study.run()
    assert engine.workers[0].killed
    assert records(study)["tiny-0000"].status == "KILLED"


def test_the_former_signal_handlers_come_back(faked: Make) -> None:
    study = faked(trials=1)
    study.engine(half)
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    study.run()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before


def test_a_kill_between_any_two_writes_costs_no_training_and_makes_no_second_run(
    faked: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = faked(trials=1)
    engine = study.engine(half)
    points = [  # in the order of the life of a trial; each session dies at one and the next goes further
        (Tracker, "_log_params"),
        (recording, "_upload"),
        (Tracker, "finish"),
        (Search, "on_end"),
        (Attempt, "remove"),
    ]
    for owner, name in points:
        with monkeypatch.context() as patch:
            patch.setattr(Runner, "_stop_all", lambda self: None)
            patch.setattr(owner, name, _dying)
            with pytest.raises(Killed):
                study.run()
        assert list(records(study)) == ["tiny-0000"]
    assert engine.started == ["0000-search"], "sealed results are recorded, not made again"
    assert states(study) == ["COMPLETE"]
    study.run()
    assert engine.started == ["0000-search", "0000-confirm-seed1"]
    record = records(study)["tiny-0000"]
    assert record.complete and record.params["optim.lr"] == "0.01"
    assert len(Tracker.open(study.paths).client.get_metric_history(record.run_id, "epoch/train_loss")) == 2
    assert not folders(study.root)


@pytest.mark.parametrize(("fails", "right", "state"), [("nan-loss: the loss is inf", 0.9, "FAIL"), ("", 0.1, "PRUNED")])
def test_a_kill_while_an_end_is_recorded_does_not_undo_the_end(
    faked: Make, monkeypatch: pytest.MonkeyPatch, fails: str, right: float, state: str
) -> None:
    pruner = {"kind": "median", "warmup_epochs": 1, "startup_trials": 2}
    study = faked(trials=3, base__training__epochs=4, pruner=pruner)
    oracle = lambda config, name: Fate(right=right, fails=fails) if name == "0002-search" else Fate(right=0.9)  # noqa: E731
    engine = study.engine(oracle)
    reached = recording._upload

    def dies_at_the_third(active: Any, tracker: Tracker) -> None:
        reached(active, tracker) if active.job.trial < 2 else _dying()

    for owner, name, dying in (
        (recording, "_upload", dies_at_the_third),
        (Tracker, "finish", _dying),
        (Search, "on_end", _dying),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(Runner, "_stop_all", lambda self: None)
            patch.setattr(owner, name, dying)
            with pytest.raises(Killed):
                study.run()
    study.run()
    assert states(study) == ["COMPLETE", "COMPLETE", state]
    assert engine.started.count("0002-search") == 1, "an end that is written down is recorded, not trained again"
    assert records(study)["tiny-0002"].tags.get("ocr_sweep.reason", "") == (fails or "stopped by the pruner")


def _dying(*_: object, **__: object) -> None:
    raise Killed


def test_a_sealed_result_that_was_damaged_since_is_a_failure(faked: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    study = faked(trials=2)
    study.engine(half)
    with monkeypatch.context() as patch:
        patch.setattr(recording, "_upload", _dying)
        patch.setattr(Runner, "_stop_all", lambda self: None)
        with pytest.raises(Killed):
            study.run()
    (study.paths.work("tiny") / "0000-search" / "result" / "weights.safetensors").write_bytes(b"other")
    study.run()
    assert "integrity: " in records(study)["tiny-0000"].tags["ocr_sweep.reason"]
    assert states(study) == ["FAIL", "COMPLETE"]


def test_the_leftover_of_another_study_of_this_name_is_not_taken_for_ours(faked: Make) -> None:
    study = faked(trials=1)
    study.engine(half)
    view = study.run().view
    config = config_of(study.root).trial_config({"loss.label_smoothing": 0.05, "optim.handover_at": 0.7})
    for number, (changed, store) in enumerate([({"seed": 99}, view.path), ({}, view.path.with_name("elsewhere"))], start=1):
        other = Attempt(study.paths.work("tiny") / f"{number:04d}-search")
        other.prepare(config.model_copy(update=changed), store, {"code": {"commit": None}})
        other.append(Event(1, {"epoch/train_loss": 77.0}, 5))
    write_study(study.root, trials=3)
    study.run()
    for name in ("tiny-0001", "tiny-0002"):
        assert records(study)[name].params["seed"] == "17" and records(study)[name].metrics["epoch/train_loss"] == 1.0


def test_two_sessions_of_one_study_are_refused(faked: Make) -> None:
    study = faked()
    study.engine(half)
    with file_lock(study.paths.lock("study-tiny"), wait=False), pytest.raises(ConflictError, match="run by another process"):
        study.run()
    assert not study.paths.optuna_url.startswith("sqlite") or not (study.paths.mlruns / "optuna.db").exists()


def test_a_study_that_asks_something_else_is_refused_with_the_difference(faked: Make) -> None:
    study = faked(trials=1)
    study.engine(half)
    study.run()
    write_study(
        study.root,
        trials=1,
        base__optim__lr=0.02,
        search={
            "loss.label_smoothing": {"type": "float", "low": 0.0, "high": 0.3},
            "optim.handover_at": {"type": "float", "low": 0.5, "high": 1.0},
        },
    )
    with pytest.raises(ConflictError, match=r"base\.optim\.lr: 0\.01 -> 0\.02.*label_smoothing\.high: 0\.2 -> 0\.3"):
        study.run()
    write_study(study.root, trials=2, question="Other words?", confirm={"top": 1, "seeds": 2})
    study.run()
    assert states(study) == ["COMPLETE", "COMPLETE"], "budgets and words may change"


def test_a_study_goes_on_when_trials_have_gained_a_key_since(faked: Make) -> None:
    study = faked(trials=1)
    study.engine(half)
    study.run()
    opened = optuna.load_study(study_name="tiny", storage=study.paths.optuna_url)
    identity = json.loads(opened.user_attrs["ocr_sweep.identity"])
    assert identity["base"]["training"].pop("leave_out") == []  # as a version wrote it that did not know the key
    opened.set_user_attr("ocr_sweep.identity", json.dumps(identity))
    write_study(study.root, trials=2)
    study.run()
    assert states(study) == ["COMPLETE", "COMPLETE"]


def test_a_signal_stops_the_building_of_a_corpus(faked: Make) -> None:
    study = faked(corpus=False)
    study.engine(half)
    board = SilentBoard()
    board.building = lambda what, done, total: os.kill(os.getpid(), signal.SIGTERM)  # type: ignore[method-assign]
    with pytest.raises(StoppedError, match="SIGTERM"):
        study.run(board)
    assert not [path for path in study.paths.corpora.iterdir() if path.is_dir()]


def test_trials_run_side_by_side(faked: Make) -> None:
    study = faked(workers=3, trials=6)
    engine = study.engine(half)
    most: list[int] = []
    engine.at_wait = lambda: most.append(sum(worker.exit_code is None for worker in engine.workers))
    study.run()
    assert max(most) == 3 and states(study) == ["COMPLETE"] * 6
    assert {record.status for record in records(study).values()} == {"FINISHED"}


class Ear(SilentBoard):
    """Hears trainings start and end."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []

    def started(self, job: Job, run_id: str, resumed: bool) -> None:
        self.heard.append(("started", job.name))

    def ended(self, job: Job, outcome: str, metrics: dict[str, float], reason: str) -> None:
        self.heard.append((outcome, job.name))


def test_a_slot_that_would_wait_for_the_search_trains_the_base_again(faked: Make) -> None:
    study, board = faked(workers=2, trials=3, confirm={"top": 1, "seeds": 2}), Ear()
    study.engine(half)
    study.run(board)
    assert board.heard.index(("started", "tiny-0000-seed1")) < board.heard.index(("complete", "tiny-0002"))
    assert board.heard.index(("started", "tiny-0001-seed1")) > board.heard.index(("complete", "tiny-0002"))
    assert len(records(study)) == 7 and all(record.complete for record in records(study).values())


def test_no_slot_trains_a_base_again_that_has_no_result(faked: Make) -> None:
    study, board = faked(workers=2, trials=3), Ear()
    study.engine(lambda config, name: Fate(fails="nan-loss" if name.startswith("0000") else ""))
    assert study.run(board).verdict.winner == 1
    assert [name for what, name in board.heard if what == "started"] == ["tiny-0000", "tiny-0001", "tiny-0002", "tiny-0001-seed1"]


def test_the_board_hears_every_training(faked: Make) -> None:
    study, board = faked(), Ear()
    study.engine(lambda config, name: Fate(fails="nan-loss" if name == "0002-search" else ""))
    study.run(board)
    heard = board.heard
    names = ["tiny-0000", "tiny-0001", "tiny-0002", "tiny-0000-seed1", "tiny-0001-seed1"]
    assert [name for what, name in heard if what == "started"] == names
    assert [what for what, _ in heard if what != "started"] == ["complete", "complete", "failed", "complete", "complete"]


def test_work_is_gone_when_the_study_is_done(faked: Make) -> None:
    study = faked(trials=1)
    study.engine(half)
    study.run()
    assert not Path(study.paths.work("tiny")).exists()
