"""Trials without enough memory: the same batches in smaller parts, then a true end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import optuna
import pytest
from fake_engine import Fate

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.errors import TooManyFailuresError
from ocr_sweep.sweep.reproduction.reproduce import reproduce
from ocr_sweep.sweep.reproduction.verdict import Reproduction
from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.trials.micro_batches import MicroBatches, halved, in_parts, part_size
from ocr_sweep.sweep.watching.board import SilentBoard
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]
MakeTrial = Callable[..., TrialConfig]


def test_parts_are_halved_down_to_eight_images_on_each_device(make_trial: MakeTrial) -> None:
    config = make_trial({"training.batch_size": 64, "training.accumulate": 2})
    first = halved(config, None, 0)
    assert first == MicroBatches(4) and part_size(config, first) == 16
    assert halved(config, first, 3) == MicroBatches(8, since=3)
    assert halved(config, MicroBatches(8), 3) is None
    assert halved(make_trial({"training.batch_size": 64, "training.devices": 8}), None, 0) is None


def test_the_training_changes_and_the_configuration_does_not(make_trial: MakeTrial) -> None:
    config = make_trial()
    before = fingerprint(config.model_dump(mode="json"))
    assert in_parts(config, MicroBatches(2)).training.accumulate == 2 and in_parts(config, None) is config
    assert fingerprint(config.model_dump(mode="json")) == before


def test_parts_lie_in_the_folder_of_the_trial(tmp_path: Path, make_trial: MakeTrial) -> None:
    attempt = Attempt(tmp_path / "trial")
    attempt.prepare(make_trial(), tmp_path, {})
    assert attempt.micro_batches() is None
    attempt.cut(MicroBatches(4, since=2))
    assert Attempt(attempt.folder).micro_batches() == MicroBatches(4, since=2)
    given = Attempt(tmp_path / "other")
    given.prepare(make_trial(), tmp_path, {}, parts=MicroBatches(8))
    assert given.micro_batches() == MicroBatches(8) and given.config() == make_trial()


def records(study: Any) -> dict[str, RunRecord]:
    return {record.name: record for record in Tracker.open(study.paths).runs("tiny")}


def states(study: Any) -> list[tuple[str, float | None]]:
    storage = optuna.storages.RDBStorage(study.paths.optuna_url)
    return [(trial.state.name, trial.value) for trial in optuna.load_study(study_name="tiny", storage=storage).trials]


@pytest.mark.parametrize("kernel", [False, True])
def test_a_trial_goes_on_in_the_parts_that_fit(faked: Make, kernel: bool) -> None:
    study = faked(base__training__batch_size=32, trials=1)
    engine = study.engine(lambda config, name: Fate(needs_parts=4, kernel=kernel))
    board, said = SilentBoard(), []
    board.say = said.append  # type: ignore[method-assign]
    study.run(board)
    first, again = records(study)["tiny-0000"], records(study)["tiny-0000-seed1"]
    assert engine.started == ["0000-search"] * 3 + ["0000-confirm-seed1"], "fresh seeds begin with what was found"
    assert first.complete and first.params["training.accumulate"] == "1"
    assert (first.tags["ocr_sweep.micro_batches"], first.tags["ocr_sweep.micro_batches_since"]) == ("4", "1")
    assert (again.tags["ocr_sweep.micro_batches"], again.tags["ocr_sweep.micro_batches_since"]) == ("4", "0")
    assert said == [
        f"tiny-0000: its memory did not suffice; it goes on with batches in {parts} images, and batch norm sees the parts"
        for parts in ("2 parts of 16", "4 parts of 8")
    ]


def test_a_trial_that_no_parts_suffice_for_has_no_value_and_does_not_stop_the_study(faked: Make) -> None:
    study = faked(trials=5, max_failures=2)
    study.engine(lambda config, name: Fate(needs_parts=99) if name in ("0001-search", "0002-search", "0003-search") else Fate())
    study.run()
    assert states(study)[1:4] == [("FAIL", None)] * 3 and states(study)[4][0] == "COMPLETE"
    failed = records(study)["tiny-0002"]
    assert (failed.status, failed.tags["ocr_sweep.outcome"]) == ("FAILED", "oom")
    assert failed.tags["ocr_sweep.reason"] == "oom: the memory of this machine does not suffice"
    assert "val/accuracy_macro" not in failed.metrics and len(records(study)) == 7, "it counts in the budget"


def test_a_study_for_which_there_is_no_memory_at_all_is_stopped(faked: Make) -> None:
    study = faked(trials=9, max_failures=3)
    engine = study.engine(lambda config, name: Fate(needs_parts=99))
    with pytest.raises(TooManyFailuresError, match=r"3 trials in a row failed.*oom: the memory of this machine"):
        study.run()
    assert len(set(engine.started)) == 3


def again(study: Any, run_id: str, **fate: Any) -> tuple[Reproduction, list[str], list[MicroBatches | None]]:
    parts: list[MicroBatches | None] = []
    engine = study.engine(lambda config, name: Fate(**fate))
    engine.at_wait = lambda: parts.append(engine.workers[-1].attempt.micro_batches()) if engine.workers else None
    named: list[str] = []
    return reproduce(run_id, study.paths, SilentBoard(), named.extend), named, parts


def test_a_reproduction_takes_the_parts_of_the_run(faked: Make) -> None:
    study = faked(base__training__batch_size=32, trials=1)
    study.engine(lambda config, name: Fate(needs_parts=2))
    study.run()
    run_id = records(study)["tiny-0000"].run_id
    result, named, parts = again(study, run_id, needs_parts=2)
    assert parts[0] == MicroBatches(2) and result.new.tags["ocr_sweep.micro_batches"] == "2"
    assert named == ["batches: passed in larger parts until epoch 1, now all pass in 2"]
    result, _, _ = again(study, run_id, needs_parts=4)
    assert result.differences[-1] == "batches: passed in 4 parts, because there was not the memory for larger ones"
