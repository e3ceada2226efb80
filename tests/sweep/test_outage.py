"""Stores that go away: nothing is lost, nothing is trained twice, and it is said once."""

from __future__ import annotations

import re
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import closing
from typing import Any

import optuna
import pytest
from fake_engine import Fate
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import OperationalError

from ocr_sweep.errors import StoreError
from ocr_sweep.sweep import study_loop
from ocr_sweep.sweep.confirmation import confirm
from ocr_sweep.sweep.running import outage, recording
from ocr_sweep.sweep.running.outage import Stores
from ocr_sweep.sweep.search import storage
from ocr_sweep.sweep.search.journal import Journal
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.summary.summary import Summary
from ocr_sweep.sweep.watching.board import SilentBoard
from ocr_sweep.tracking.mlflow_client import tracking_errors
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]
AWAY = StoreError("the store must be reachable, but: it is not. What was recorded is safe", passing=True)


class World:
    """A store that is away when it should be, and a clock."""

    def __init__(self, patience: float = 600) -> None:
        self.now = 0.0
        self.said: list[str] = []
        self.stores = Stores(self.said.append, patience, clock=lambda: self.now)

    def meet(self, error: StoreError | None) -> None:
        with self.stores.borne():
            if error:
                raise error


def test_an_outage_is_said_when_it_begins_and_when_it_ends() -> None:
    world = World()
    world.meet(None)
    assert world.said == [] and world.stores.due() and not world.stores.away
    for _ in range(3):
        world.meet(AWAY)
        world.now += 30
    assert world.stores.away
    world.meet(None)
    assert world.said == [
        "the store must be reachable, but: it is not. Trials go on, and keep what they write; it is tried again for 10 minutes",
        "recording goes on after 90 s; nothing was lost",
    ]
    assert world.stores.due() and not world.stores.away


def test_tries_come_more_and_more_rarely() -> None:
    world, tries = World(), []
    while world.now < 200:
        if world.stores.due():
            tries.append(world.now)
            world.meet(AWAY)
        world.now += 0.5
    assert tries == [0, 1, 3, 7, 15, 31, 61, 91, 121, 151, 181]


def test_patience_has_an_end() -> None:
    world = World(patience=60)
    world.meet(AWAY)
    world.now = 59
    world.meet(AWAY)
    world.now = 60
    with pytest.raises(StoreError):
        world.meet(AWAY)


def test_a_full_disk_is_not_waited_for() -> None:
    with pytest.raises(StoreError):
        World().meet(StoreError("writing x failed: No space left on device"))


def test_work_is_done_again_until_it_is_taken() -> None:
    world, asked = World(), []

    def work() -> int:
        asked.append(world.now)
        if world.now < 5:
            raise AWAY
        return 7

    def idle() -> None:
        world.now += 1

    assert world.stores.endured(work, idle) == 7 and asked == [0, 1, 3, 7]


@pytest.mark.parametrize(
    ("said", "passing"),
    [
        ("database is locked", True),
        ("could not connect to server: Connection refused", True),
        ("database or disk is full", False),
        ("[Errno 28] No space left on device", False),
        ("attempt to write a readonly database", False),
        ("database disk image is malformed", False),
    ],
)
def test_what_a_database_says_tells_whether_it_comes_back(said: str, passing: bool) -> None:
    plain = OperationalError("SELECT", {}, sqlite3.OperationalError(said))
    remarked = OperationalError("SELECT", {}, sqlite3.OperationalError(said))
    remarked.add_detail("raised as a result of Query-invoked autoflush; consider a session.no_autoflush block")
    assert str(remarked).startswith("(raised as a result of")
    for error in (plain, remarked):
        with pytest.raises(StoreError, match=re.escape(said)) as caught, storage.storage_errors("sqlite:///x"):
            raise error
        assert caught.value.passing is passing
        with pytest.raises(StoreError, match=re.escape(said)) as caught, tracking_errors("sqlite:///x"):
            raise MlflowException(str(error)) from error
        assert caught.value.passing is passing


# ------------------------------------------------------------------------------------------------------------ whole studies


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outage, "_FIRST", 0.01)
    monkeypatch.setattr(outage, "_LONGEST", 0.02)


class Failing:
    """Lets something fail a few times before and after it does its work."""

    def __init__(self, work: Callable[..., Any], before: int, after: int) -> None:
        self._work = work
        self._before, self._after = before, after

    def __get__(self, owner: Any, kind: Any = None) -> Callable[..., Any]:
        return lambda *args, **kwargs: self(owner, *args, **kwargs)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._before:
            self._before -= 1
            raise AWAY
        done = self._work(*args, **kwargs)
        if self._after:
            self._after -= 1
            raise AWAY
        return done


def records(study: Any) -> dict[str, RunRecord]:
    found = Tracker.open(study.paths).runs("tiny")
    assert len({record.name for record in found}) == len(found), "one run for each training"
    return {record.name: record for record in found}


def states(study: Any) -> list[str]:
    stored = optuna.storages.RDBStorage(study.paths.optuna_url)
    return [trial.state.name for trial in optuna.load_study(study_name="tiny", storage=stored).trials]


def each_epoch_is_there_once(study: Any, epochs: int = 2) -> None:
    client = Tracker.open(study.paths).client
    for record in records(study).values():
        points = client.get_metric_history(record.run_id, "epoch/train_loss")
        assert [point.step for point in points] == list(range(1, epochs + 1)), record.name
        assert len(client.get_metric_history(record.run_id, "val/accuracy_macro")) == 1
        assert record.complete


OF_THE_TRACKER = [(Tracker, name) for name in ("begin", "_log_params", "log_metrics", "set_tags", "upload", "finish")]
OF_THE_STUDY = [*((Journal, name) for name in ("add", "report", "note", "tell")), (Search, "on_end"), (confirm, "read_config")]
OF_THE_STUDY += [(study_loop, "judge"), (Summary, "write")]


@pytest.mark.parametrize("writes", [OF_THE_TRACKER, OF_THE_STUDY])
def test_whatever_meets_an_outage_is_done_in_the_end_and_once(
    faked: Make, monkeypatch: pytest.MonkeyPatch, impatient: None, writes: list[tuple[Any, str]]
) -> None:
    study = faked(trials=2, workers=2)
    engine = study.engine(lambda config, name: Fate())
    board, said = SilentBoard(), []
    board.say = said.append  # type: ignore[method-assign]
    for owner, name in writes:
        monkeypatch.setattr(owner, name, Failing(getattr(owner, name), 2, 1))
    study.run(board)
    assert engine.started == ["0000-search", "0001-search", "0000-confirm-seed1", "0001-confirm-seed1"]
    assert states(study) == ["COMPLETE"] * 2
    each_epoch_is_there_once(study)
    begun = sum("it is tried again for 10 minutes" in line for line in said)
    assert begun >= 2 and sum("recording goes on after" in line for line in said) == begun


def test_trials_go_on_and_die_and_start_again_while_nothing_can_be_recorded(
    faked: Make, monkeypatch: pytest.MonkeyPatch, impatient: None
) -> None:
    study = faked(trials=2, workers=2, base__training__epochs=6)
    engine = study.engine(lambda config, name: Fate(dies=1 if name == "0001-search" else 0))
    waits: list[int] = []

    def away(self: Tracker, *args: Any, real: Any = Tracker.log_metrics, **kwargs: Any) -> None:
        if len(waits) < 40:
            raise AWAY
        real(self, *args, **kwargs)

    engine.at_wait = lambda: waits.append(1)
    monkeypatch.setattr(Tracker, "log_metrics", away)
    ended: list[int] = []
    monkeypatch.setattr(
        recording, "_upload", lambda active, tracker, real=recording._upload: ended.append(len(waits)) or real(active, tracker)
    )
    study.run()
    assert engine.started[:3] == ["0000-search", "0001-search", "0001-search"] and min(ended) >= 40
    assert states(study) == ["COMPLETE"] * 2
    each_epoch_is_there_once(study, epochs=6)


def test_an_outage_that_does_not_end_pauses_the_study(faked: Make, monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    study = faked(trials=2)
    engine = study.engine(lambda config, name: Fate())
    with monkeypatch.context() as patch:
        patch.setattr(outage.Stores, "__init__", lambda self, say, real=outage.Stores.__init__: real(self, say, 0.2))
        patch.setattr(Tracker, "log_metrics", Failing(Tracker.log_metrics, 10**9, 0))
        with pytest.raises(StoreError) as caught:
            study.run()
    assert caught.value.exit_code == 4 and records(study)["tiny-0000"].status == "KILLED"
    study.run()
    assert engine.started.count("0000-search") == 1, "what it had finished meanwhile is recorded"
    each_epoch_is_there_once(study)


@pytest.mark.slow
def test_databases_that_are_locked_fail_no_trial(faked: Make, monkeypatch: pytest.MonkeyPatch, impatient: None) -> None:
    monkeypatch.setattr(storage, "connect_args", lambda url: {"timeout": 0.2})
    study = faked(trials=4, workers=2)
    engine = study.engine(lambda config, name: Fate())

    def lock() -> None:
        files = [study.paths.mlruns / name for name in ("optuna.db", "mlflow.db")]
        with closing(sqlite3.connect(files[0], timeout=30)) as first, closing(sqlite3.connect(files[1], timeout=30)) as second:
            first.execute("BEGIN EXCLUSIVE")
            second.execute("BEGIN EXCLUSIVE")
            locked.set()
            time.sleep(3)

    locked, holder = threading.Event(), threading.Thread(target=lock)

    def begin() -> None:
        if not holder.ident:
            holder.start()
            locked.wait()

    engine.at_wait = begin
    study.run()
    holder.join()
    assert states(study) == ["COMPLETE"] * 4
    each_epoch_is_there_once(study)
