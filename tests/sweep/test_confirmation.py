"""The race inside a study: who is trained again, in which order, and that a kill or more slots change no decision."""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import optuna
import pytest
from fake_engine import FakeWorker, Fate, Oracle
from tiny_study import write_study

from ocr_sweep.sweep.confirmation.confirm import NOT_NEEDED
from ocr_sweep.sweep.confirmation.judge import Verdict
from ocr_sweep.sweep.running.runner import Runner
from ocr_sweep.sweep.search.storage import VERDICT
from ocr_sweep.sweep.watching.board import SilentBoard
from ocr_sweep.tracking.record import OUTCOME, REASON, RunRecord

Make = Callable[..., Any]
RIGHT = {0: 0.4, 1: 0.94, 2: 0.3, 3: 0.9, 4: 0.2}


class Killed(BaseException):
    """A kill at a chosen point: nothing is tidied up."""


def lucky(right: dict[int, float] = RIGHT, luck: float = 0.04) -> Oracle:
    """Each training is right as often as its trial, give or take what its name decides."""

    def fate(config: object, name: str) -> Fate:
        chance = zlib.crc32(name.encode()) / 2**32 - 0.5
        return Fate(right=min(1.0, right[int(name[:4])] + luck * chance), stride=7)

    return fate


def confirmed(records: tuple[RunRecord, ...] | list[RunRecord], outcome: str = "complete") -> list[str]:
    """The confirming runs that ended so, as trial-seed."""
    ended = [record for record in records if record.role == "confirm" and record.tags.get(OUTCOME) == outcome]
    return sorted(record.name.removeprefix("tiny-") for record in ended)


def test_who_is_clearly_worse_is_trained_no_more_and_the_board_says_so(faked: Make) -> None:
    study, board = faked(trials=5, confirm={"top": 2, "seeds": 4}), SilentBoard()
    said: list[str] = []
    board.say = said.append  # type: ignore[method-assign]
    study.engine(lucky())
    end = study.run(board)
    assert confirmed(end.records)[:2] == ["0000-seed1", "0000-seed2"] and "0000-seed3" not in confirmed(end.records)
    (line,) = [line for line in said if "left" in line]
    assert line.startswith("trial 0 left after round 2, behind trial 1 by +5") and "95 % interval +" in line
    assert end.verdict.race_lines()[0] == line
    assert end.verdict.race_lines()[-1].startswith("3 candidates, ")
    assert end.verdict.clear and end.verdict.sentence.endswith("; trial 3 is indistinguishable from it")


RACE: dict[str, Any] = {"trials": 4, "confirm": {"top": 3, "seeds": 4}}


@pytest.fixture
def expected(faked: Make, calm: list[dict[str, Any]]) -> dict[str, Any]:
    """What the race decides where nothing disturbs it, one training after the other."""
    if not calm:
        study = faked(name="calm", **RACE)
        study.engine(lucky())
        calm.append(_decided(study.run().verdict))
    return calm[0]


@pytest.fixture(scope="module")
def calm() -> list[dict[str, Any]]:
    return []


def _decided(verdict: Verdict) -> dict[str, Any]:
    """What a verdict says, but for the names of runs and how many were trained beyond it."""
    return {key: value for key, value in asdict(verdict).items() if key not in ("run_id", "runs")}


def test_more_slots_train_ahead_and_decide_the_same(faked: Make, expected: dict[str, Any]) -> None:
    study = faked(workers=3, base__training__epochs=6, **RACE)
    engine = study.engine(lucky())
    busy: list[int] = []

    def at_wait() -> None:
        busy.append(sum(worker.exit_code is None for worker in engine.workers))
        for worker in engine.workers:  # one candidate is slower than the others
            if "-confirm" in worker.attempt.folder.name and worker.attempt.folder.name.startswith("0002"):
                worker.step = functools.partial(FakeWorker.step, worker) if len(busy) % 3 else _nothing  # type: ignore[method-assign]

    engine.at_wait = at_wait
    end = study.run()
    assert _decided(end.verdict) == expected
    stopped = [record for record in end.records if record.tags[OUTCOME] == "pruned"]
    assert stopped and all(record.tags[REASON] == NOT_NEEDED and record.status == "FINISHED" for record in stopped)
    assert set(busy[:-6]) == {3}, "no slot waits before the race is over"


def _nothing() -> None:
    """A worker that does not get on."""


@pytest.mark.parametrize("kill_at", [11, 17])
def test_a_race_that_is_killed_decides_the_same(
    faked: Make, monkeypatch: pytest.MonkeyPatch, expected: dict[str, Any], kill_at: int
) -> None:
    study = faked(workers=2, **RACE)
    waits: list[int] = []

    def die() -> None:
        waits.append(1)
        if len(waits) == kill_at:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Runner, "_stop_all", lambda self: None)
        study.engine(lucky()).at_wait = die
        with pytest.raises(Killed):
            study.run()
    study.engine(lucky())
    end = study.run()
    assert _decided(end.verdict) == expected
    assert {record.status for record in end.records} == {"FINISHED"}, "nothing runs for ever"


def test_the_best_of_the_search_is_trained_ahead_where_slots_wait_for_its_last_trial(faked: Make) -> None:
    study = faked(trials=3, workers=4, confirm={"top": 1, "seeds": 2}, base__training__epochs=3)
    engine = study.engine(lucky({0: 0.4, 1: 0.9, 2: 0.6}))
    waits: list[int] = []

    def last_trial_is_slow() -> None:
        for worker in engine.workers:
            if worker.attempt.folder.name == "0002-search":
                waits.append(1)
                worker.step = functools.partial(FakeWorker.step, worker) if len(waits) > 12 else _nothing  # type: ignore[method-assign]

    engine.at_wait = last_trial_is_slow
    end = study.run()
    order = engine.started
    assert {"0000-confirm-seed1", "0001-confirm-seed1"} <= set(order)
    assert end.verdict.winner == 1
    assert all(record.tags[OUTCOME] == "complete" for record in end.records if record.trial in (0, 1))


def test_a_verdict_on_record_is_kept_while_nothing_new_is_trained(faked: Make) -> None:
    study = faked(trials=3, confirm={"top": 1, "seeds": 2})
    study.engine(lucky())
    study.run()
    opened = optuna.load_study(study_name="tiny", storage=study.paths.optuna_url)
    former = {key: value for key, value in opened.user_attrs[VERDICT].items() if key not in ("runs", "left", "end", "rounds")}
    opened.set_user_attr(VERDICT, {**former, "sentence": "as a former version said it"})
    for _ in range(2):
        kept = study.run().verdict
        assert kept.sentence == "as a former version said it" and kept.race_lines() == []
    write_study(study.root, trials=5, confirm={"top": 1, "seeds": 2})
    study.engine(lucky({**RIGHT, 4: 0.99}))
    grown = study.run().verdict
    assert grown.sentence != kept.sentence and grown.winner == 4
    assert grown.candidates == 3, "the base, the best of the search, and the former winner"


def test_a_failed_training_of_a_round_is_tried_again_by_the_next_session_alone(faked: Make) -> None:
    study = faked(trials=3, confirm={"top": 1, "seeds": 3, "min_seeds": 3})
    oracle = lucky()
    study.engine(lambda config, name: Fate(fails="nan-loss") if name == "0001-confirm-seed2" else oracle(config, name))
    first = study.run()
    assert first.verdict.rounds == 3 and confirmed(first.records, "failed") == ["0001-seed2"]
    engine = study.engine(oracle)
    second = study.run()
    assert engine.started == ["0001-confirm-seed2"]
    assert second.verdict.runs == first.verdict.runs + 1
