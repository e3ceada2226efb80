"""Samplers: each proposes by the study, the number and what it saw, and by nothing else."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import FloatDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial
from searching import drive, end, next_of, session_of, smooth, with_blocks, write

from ocr_sweep.config.sampler import SamplerConfig
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.search.front import on_front
from ocr_sweep.sweep.search.samplers import in_sight

NUMBERS: dict[str, Any] = {
    "loss.label_smoothing": {"type": "float", "low": 0.0, "high": 0.2, "step": 0.05},
    "optim.handover_at": {"type": "float", "low": 0.5, "high": 1.0, "step": 0.1},
}
KINDS: dict[str, dict[str, Any]] = {
    "tpe": {"startup_trials": 2},
    "gp": {"startup_trials": 2},
    "qmc": {},
    "random": {},
    "grid": {},
    "nsga2": {"population": 3},
}


def study_of(root: Path, kind: str, trials: int = 12, **changes: Any) -> StudyConfig:
    (root / "sweeps").mkdir(parents=True, exist_ok=True)
    return write(root, trials=trials, search=NUMBERS, sampler={"kind": kind, "seed": 17, **KINDS[kind]}, **changes)


@pytest.mark.parametrize("against", [None, "cost/parameters"])
@pytest.mark.parametrize("kind", list(KINDS))
def test_a_resumed_search_goes_on_as_if_nothing_had_been(kind: str, against: str | None, root: Path) -> None:
    found = []
    for name, sessions in (("once", 1), ("broken", 3)):
        study = study_of(root / name, kind, 5 if kind == "gp" else 8, against=against)
        found.append([job.params for job in drive(session_of(root / name, study), sessions=sessions, worth=smooth)])
    assert found[0] == found[1]
    assert len({tuple(params.values()) for params in found[0]}) >= 4, "it does search"


@pytest.mark.parametrize("kind", ["tpe", "qmc", "random", "nsga2"])
def test_another_seed_is_another_search(kind: str, root: Path) -> None:
    searches = []
    for seed in (17, 18):
        place = root / str(seed)
        study_of(place, kind)
        study = write(place, trials=5, search=NUMBERS, sampler={"kind": kind, "seed": seed, **KINDS[kind]})
        searches.append([job.params for job in drive(session_of(place, study), worth=smooth)])
    assert searches[0][0] == searches[1][0], "trial 0 is the base"
    assert searches[0] != searches[1]


def test_a_grid_is_tried_point_by_point_and_then_the_search_ends(root: Path) -> None:
    heard: list[str] = []
    study = study_of(root, "grid", trials=100)
    search = session_of(root, study, heard.append)
    jobs = drive(search, slots=3, sessions=4)
    points = Counter(tuple(job.params.values()) for job in jobs)
    assert len(points) == 5 * 6 and set(points.values()) == {1}
    assert jobs[0].config == study.base
    assert heard == ["every point of the grid has been tried, so the search ends before its 100 trials"]
    assert search().remaining() == 0


def test_a_grid_has_the_parameters_of_a_block_under_that_block_alone(root: Path) -> None:
    with_blocks(root)
    search = {
        "model": {"type": "categorical", "choices": ["small.yaml", "middle.yaml", "wide.yaml"]},
        "model.dropout": {"type": "float", "low": 0.0, "high": 0.5, "step": 0.25, "when": {"model": "wide"}},
    }
    study = write(root, base__model="small.yaml", search=search, trials=9, sampler={"kind": "grid", "seed": 3})
    tried = sorted(tuple(job.params.values()) for job in drive(session_of(root, study)))
    assert tried == [("middle",), ("small",), ("wide", 0.0), ("wide", 0.25), ("wide", 0.5)]


def test_qmc_fills_the_space_evenly(root: Path) -> None:
    search = {"loss.label_smoothing": {"type": "float", "low": 0.0, "high": 0.2}}
    study = write(root, trials=17, search=search, sampler={"kind": "qmc", "seed": 5})
    values = [float(str(job.params["loss.label_smoothing"])) for job in drive(session_of(root, study), worth=smooth)]
    assert Counter(int(80 * value) for value in values[1:]) == dict.fromkeys(range(16), 1), "one in each sixteenth"


def test_generations_follow_one_another(root: Path) -> None:
    study = study_of(root, "nsga2", trials=12, against="cost/parameters")
    search = session_of(root, study)()
    while (job := search.next_job()) is not None:
        costs, value = smooth(job)
        end(search, job, value, **costs)
    marks = [trial.user_attrs["ocr_sweep.marks"] for trial in search._optuna.get_trials()]
    assert [next(iter(mark.values())) for mark in marks] == [0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_two_objectives_are_told_both(kind: str, root: Path) -> None:
    study = study_of(root, kind, trials=4, against="cost/parameters")
    search = session_of(root, study)()
    job = next_of(search)
    end(search, job, 0.75, parameters=1200.0)
    (told,) = search._optuna.get_trials()
    assert told.values == [0.75, 1200.0]
    assert [direction.name for direction in search._optuna.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert not search.on_epoch(next_of(search), 1, {"epoch/val/accuracy_macro": 0.0})


def test_the_front_is_what_no_other_beats_in_both() -> None:
    points = [(0.9, 5.0), (0.8, 1.0), (0.8, 2.0), (0.95, 9.0), (0.7, 1.0), (0.9, 5.0), (0.9, 6.0)]

    def beaten(index: int) -> bool:
        value, cost = points[index]
        return any(v >= value and c <= cost and (v, c) != (value, cost) for v, c in points)

    assert on_front(points) == [not beaten(index) for index in range(len(points))]
    assert on_front(points) == [True, True, False, True, False, True, False]
    assert on_front([]) == []


def past(values: list[float], state: TrialState = TrialState.COMPLETE) -> list[FrozenTrial]:
    trials = []
    for number, value in enumerate(values):
        trial = create_trial(params={"x": value}, distributions={"x": FloatDistribution(0, 10_000)}, value=value, state=state)
        trial.number = trial._trial_id = number
        trials.append(trial)
    return trials


def test_tpe_sees_the_best_and_the_latest_of_a_long_past() -> None:
    config = SamplerConfig(kind="tpe", seed=1)
    trials = past([float((number * 7919) % 3001) for number in range(3001)])
    seen = in_sight(config, trials)
    assert len(seen) == 1000 and [t.number for t in seen] == sorted(t.number for t in seen)
    best = sorted(trials, key=lambda trial: -trial.values[0])[:100]
    assert {t.number for t in best} <= {t.number for t in seen}
    assert {t.number for t in trials[-900:]} - {t.number for t in seen} == set()
    assert in_sight(config, trials[:1000]) == trials[:1000], "all of a shorter one"
    assert in_sight(SamplerConfig(kind="random", seed=1), trials) == [], "chance needs no past"
