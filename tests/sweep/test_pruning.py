"""Pruning compares like with like: peers of one arm and architecture, before their handover, and each epoch once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from searching import end, next_of, session_of, write

from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.watching.board import Job
from ocr_sweep.tracking.record import Outcome

METRIC = "epoch/val/accuracy_macro"
SAMPLING = {"training.sampling": {"type": "categorical", "choices": ["instance", "square_root", "class_balanced"]}}
MEDIAN = {"kind": "median", "warmup_epochs": 1, "startup_trials": 2}


def search_of(root: Path, **changes: Any) -> Search:
    settings: dict[str, Any] = {"trials": 40, "base__training__epochs": 9, "pruner": MEDIAN, **changes}
    return session_of(root, write(root, **settings))()


def train(search: Search, job: Job, value: float, *, handover: int = 9) -> int:
    """Train a trial that shows one value at every epoch; the epoch at which it is pruned, or 0."""
    for epoch in range(1, 10):
        beyond = {"epoch/handed_over": 1.0} if epoch > handover else {}
        if search.on_epoch(job, epoch, {METRIC: value, **beyond}):
            end(search, job, outcome=Outcome.PRUNED)
            return epoch
    end(search, job, value)
    return 0


def arm_of(job: Job) -> object:
    return job.params["training.sampling"]


def test_a_trial_is_compared_with_its_own_arm_alone(root: Path) -> None:
    search = search_of(root, search=SAMPLING, arms="training.sampling", sampler={"kind": "grid", "seed": 1})
    jobs = {arm_of(job): job for job in (next_of(search) for _ in range(3))}
    for sampling, value in (("instance", 0.9), ("square_root", 0.8), ("class_balanced", 0.1)):
        assert train(search, jobs[sampling], value) == 0, "the first of its arm, however poor"


def test_peers_are_those_of_one_arm_one_architecture_and_one_length(root: Path) -> None:
    space = {**SAMPLING, "model.decoder": {"type": "categorical", "choices": [True, False]}}
    search = search_of(root, search=space, arms="training.sampling", sampler={"kind": "random", "seed": 1})
    jobs = [next_of(search) for _ in range(30)]
    trained = jobs[:25]
    for job in trained:
        is_theirs = (arm_of(job), job.params["model.decoder"]) == ("instance", True)
        train(search, job, 0.9 if is_theirs else 0.3)
    pruned = {}
    for job in jobs[25:]:
        mine = (arm_of(job), job.params["model.decoder"])
        peers = sum((arm_of(other), other.params["model.decoder"]) == mine for other in trained)
        pruned[mine] = train(search, job, 0.5), peers
    assert all(epoch == (1 if mine == ("instance", True) and peers >= 2 else 0) for mine, (epoch, peers) in pruned.items()), (
        pruned
    )
    assert any(epoch for epoch, _ in pruned.values()) and any(not epoch for epoch, _ in pruned.values())


def test_nothing_is_decided_across_the_handover(root: Path) -> None:
    search = search_of(root)
    for handover in (3, 3, 9):
        train(search, next_of(search), 0.9, handover=handover)
    poor = next_of(search)
    values = [0.95] * 3 + [0.1] * 6  # good until epoch 3, where two of its three peers handed over
    heard = [search.on_epoch(poor, epoch, {METRIC: value}) for epoch, value in enumerate(values, start=1)]
    assert not any(heard), "at epoch 4 there is one peer left, and two must be"
    shown = search._optuna.get_trials()
    assert [sorted(trial.intermediate_values) for trial in shown[:3]] == [[1, 2, 3], [1, 2, 3], list(range(1, 10))]


def test_a_trial_that_has_handed_over_runs_to_its_end(root: Path) -> None:
    search = search_of(root)
    for _ in range(3):
        train(search, next_of(search), 0.9)
    job = next_of(search)
    assert not any(search.on_epoch(job, epoch, {METRIC: 0.1, "epoch/handed_over": 1.0}) for epoch in range(1, 10))


def test_what_was_reported_before_a_resume_is_not_decided_again(root: Path) -> None:
    search = search_of(root)
    for _ in range(2):
        train(search, next_of(search), 0.5)
    job = next_of(search)
    assert not search.on_epoch(job, 1, {METRIC: 0.6})
    for _ in range(3):
        train(search, next_of(search), 0.9)
    again = session_of(root, search._study)()
    assert next_of(again).trial == job.trial
    assert not again.on_epoch(job, 1, {METRIC: 0.6}), "it is told all its epochs again"
    assert again.on_epoch(job, 2, {METRIC: 0.6})


@pytest.mark.parametrize("broken", [False, True])
def test_hyperband_decides_the_same_again(root: Path, broken: bool) -> None:
    pruner = {"kind": "hyperband", "warmup_epochs": 1}
    heard: list[list[int]] = []
    for name in ("once", "again"):
        place = root / name
        (place / "sweeps").mkdir(parents=True)
        new_session: Callable[[], Search] = session_of(place, write(place, trials=18, base__training__epochs=9, pruner=pruner))
        search, ended = new_session(), list[int]()
        for number in range(18):
            search = new_session() if broken and name == "again" else search
            ended.append(train(search, next_of(search), (7 * number % 18) / 18))
        heard.append(ended)
    assert heard[0] == heard[1]
    assert {1, 3} <= set(heard[0]) and heard[0].count(0) >= 4, "rungs at 1, 3 and 9 epochs"
