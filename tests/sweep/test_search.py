"""What is proposed and what is told, over several sessions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from searching import end, next_of, session_of, with_blocks, write
from tiny_study import paths_of

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.errors import ConfigError
from ocr_sweep.sweep.search.storage import open_study
from ocr_sweep.tracking.record import Outcome


def test_trial_zero_is_the_base_untouched(root: Path) -> None:
    study = write(root)
    job = next_of(session_of(root, study)())
    assert (job.trial, job.role, job.name) == (0, "search", "tiny-0000")
    assert job.config == study.base


def test_every_block_is_tried_before_anything_is_proposed(root: Path) -> None:
    study = with_blocks(root)
    search = session_of(root, study)()
    jobs = []
    for _ in range(4):
        jobs.append(next_of(search))
        end(search, jobs[-1])
    assert [job.config.model.base_channels for job in jobs[:3]] == [4, 6, 8]  # type: ignore[union-attr]
    assert jobs[0].config == study.base
    assert all(job.config.loss == study.base.loss for job in jobs[:3]), "only the block differs"
    assert jobs[3].params["loss.label_smoothing"] != study.base.loss.label_smoothing


def test_a_conditional_parameter_exists_only_under_its_choice(root: Path) -> None:
    search = session_of(root, with_blocks(root))()
    seen = []
    while (job := search.next_job()) is not None:
        assert ("model.dropout" in job.params) == (job.params["model"] == "wide")
        seen.append(job.params["model"])
        end(search, job)
    assert len(seen) == 8


def test_what_a_former_version_had_queued_is_still_tried(root: Path) -> None:
    """It wrote the first points into Optuna's queue, and a trial's parameters one by one."""
    study = with_blocks(root)
    former = session_of(root, study)()._optuna
    for point in study.first_points():
        former.enqueue_trial(point)
    former.ask().suggest_float("loss.label_smoothing", 0.0, 0.2)  # killed after the first parameter of the first trial
    search = session_of(root, study)()
    jobs = [next_of(search) for _ in range(4)]
    assert [job.trial for job in jobs] == [0, 1, 2, 3]
    assert [job.params["model"] for job in jobs[:3]] == ["small", "middle", "wide"]
    assert jobs[0].config == study.base
    kept = search._optuna.get_trials()[:3]
    assert [trial.state.name for trial in kept] == ["RUNNING"] * 3
    assert [trial.params for trial in kept] == [job.params for job in jobs[:3]]


@pytest.mark.parametrize("kind", ["tpe", "random"])
def test_a_resumed_sampler_goes_on_where_it_stood(root: Path, kind: str) -> None:
    study = write(root, trials=8, sampler={"kind": kind, "seed": 17, "startup_trials": 2})
    once, broken = root / "once", root / "broken"
    for place in (once, broken):
        (place / "sweeps").mkdir(parents=True)
    in_one = session_of(once, study)()
    undisturbed = []
    for number in range(8):
        undisturbed.append(next_of(in_one))
        end(in_one, undisturbed[-1], number / 10)
    proposed = []
    for number in range(8):
        search = session_of(broken, study)()  # a new session for every trial
        proposed.append(next_of(search))
        end(search, proposed[-1], number / 10)
    assert [job.params for job in proposed] == [job.params for job in undisturbed]
    assert len({tuple(sorted(job.params.items())) for job in proposed}) == 8, "no point is proposed twice"


def test_an_unfinished_trial_comes_first_with_its_own_parameters(root: Path) -> None:
    study = write(root)
    search = session_of(root, study)()
    end(search, next_of(search))
    cut_short = next_of(search)
    again = session_of(root, study)()
    assert again.remaining() == 2
    job = next_of(again)
    assert (job.trial, job.params, job.config) == (1, cut_short.params, cut_short.config)
    end(again, job)
    assert next_of(again).trial == 2


def test_the_budget_counts_every_trial_that_ended(root: Path) -> None:
    study = write(root)
    search = session_of(root, study)()
    for outcome in (Outcome.COMPLETE, Outcome.FAILED, Outcome.PRUNED):
        end(search, next_of(search), outcome=outcome)
    assert search.next_job() is None and search.remaining() == 0
    assert session_of(root, study)().next_job() is None


def test_telling_twice_is_telling_once(root: Path) -> None:
    study = write(root)
    search = session_of(root, study)()
    job = next_of(search)
    end(search, job, 0.25)
    end(search, job, 0.75)
    (told,) = search._optuna.get_trials()
    assert (told.value, told.user_attrs["ocr_sweep.run_id"]) == (0.25, "run-0")


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_no_value_but_a_finite_one_is_told(root: Path, value: float) -> None:
    search = session_of(root, write(root))()
    job = next_of(search)
    with pytest.raises(AssertionError, match="tiny-0000 has the value"):
        end(search, job, value)
    assert [trial.state.name for trial in search._optuna.get_trials()] == ["RUNNING"]


def test_an_epoch_is_reported_once_however_often_it_is_heard(root: Path) -> None:
    study = write(root, base__training__epochs=4)
    search = session_of(root, study)()
    job = next_of(search)
    for value in (0.1, 0.9):
        assert search.on_epoch(job, 1, {"epoch/val/accuracy_macro": value}) is False
    assert search._optuna.get_trials()[job.trial].intermediate_values == {1: 0.1}


def test_a_bad_trial_is_pruned_after_its_warm_up_and_before_its_last_epoch(root: Path) -> None:
    pruner = {"kind": "median", "warmup_epochs": 2, "startup_trials": 1}
    study = write(root, trials=9, base__training__epochs=3, pruner=pruner)
    search = session_of(root, study)()
    for _ in range(3):
        job = next_of(search)
        for epoch in (1, 2, 3):
            search.on_epoch(job, epoch, {"epoch/val/accuracy_macro": 0.9})
        end(search, job, 0.9)
    job = next_of(search)
    heard = [search.on_epoch(job, epoch, {"epoch/val/accuracy_macro": 0.1}) for epoch in (1, 2, 3)]
    assert heard == [False, True, False], "not in its warm-up, and not when nothing is left to save"


def contradictory(root: Path, **changes: Any) -> StudyConfig:
    """Half of the space says twice that classes should be balanced."""
    search = {
        "loss.adjustment": {"type": "categorical", "choices": [0.0, 1.0]},
        "training.sampling": {"type": "categorical", "choices": ["instance", "class_balanced"]},
    }
    return write(root, search=search, trials=12, sampler={"kind": "random", "seed": 3}, **changes)


def test_a_proposal_that_contradicts_itself_is_said_and_replaced(root: Path) -> None:
    heard: list[str] = []
    search = session_of(root, contradictory(root), heard.append)()
    seen = []
    while (job := search.next_job()) is not None:
        seen.append((job.config.loss.adjustment, job.config.training.sampling))
        end(search, job)
    assert len(seen) == 12, "contradictions cost nothing of the budget"
    assert set(seen) == {(0.0, "instance"), (1.0, "instance"), (0.0, "class_balanced")}
    assert heard and all(
        "contradicts itself and is replaced: loss.adjustment and training.sampling both" in line for line in heard
    )
    states = [trial.state.name for trial in search._optuna.get_trials()]
    assert states.count("FAIL") == len(heard) and states.count("COMPLETE") == 12 and search.remaining() == 0


def test_a_space_of_contradictions_is_an_error(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study = contradictory(root)
    monkeypatch.setattr(StudyConfig, "first_points", lambda self: [])
    monkeypatch.setattr(StudyConfig, "trial_config", lambda self, params: StudyConfig.model_validate({}))
    with pytest.raises(ConfigError, match="200 proposals in a row contradict themselves"):
        session_of(root, study)().next_job()


def test_a_database_that_was_killed_while_it_was_made_is_made_again(root: Path) -> None:
    paths, study = paths_of(root), write(root)
    aside = paths.mlruns / ".optuna.db.0123abcd.tmp"
    aside.parent.mkdir()
    aside.write_bytes(b"SQLite format 3\0 and no more")
    aside.with_name(".optuna.db.0123abcd.tmp-journal").write_bytes(b"half a journal")
    assert open_study(study, paths, "corpus").trials == []
    assert {path.name for path in paths.mlruns.iterdir()} == {"optuna.db", "locks"}
