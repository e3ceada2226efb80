"""What fails again and again while others succeed gets no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import optuna
import pytest
from fake_engine import Fate

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.running.breaker import Breaker
from ocr_sweep.sweep.running.slots import Gpu, Machine, Need, Place
from ocr_sweep.sweep.watching.board import Job, Result, SilentBoard
from ocr_sweep.tracking.record import Outcome

Make = Callable[..., Any]
HERE, GPUS = Place(), [Place("", (name,)) for name in "012"]


class World:
    """A breaker, and trainings that end as they are told to."""

    def __init__(self, config: TrialConfig, *choices: str) -> None:
        self.said: list[str] = []
        self.breaker = Breaker(choices, self.said.append)
        self._config = config
        self._number = 0

    def ends(self, outcome: str, place: Place = HERE, *, role: str = "search", reason: str = "", **params: object) -> None:
        self._number += 1
        job = Job("tiny", self._number, role, "", self._config, {key.replace("__", "."): v for key, v in params.items()})  # type: ignore[arg-type]
        self.breaker.heard(Result(job, "id", Outcome(outcome), {}, reason), place)


@pytest.fixture
def world(make_trial: Callable[..., TrialConfig]) -> World:
    return World(make_trial(), "model", "optim.kind")


def test_a_choice_under_which_three_failed_and_none_succeeded_is_out_once_others_have(world: World) -> None:
    for outcome in ("failed", "oom", "failed"):
        world.ends(outcome, model="large")
    assert world.said == [] and world.breaker.refuses({"model": "large"}) is None, "nothing shows that others are better"
    world.ends("complete", model="small")
    assert world.said == ["3 trials with model: large failed and none had a result, while others had one; "
                          "it is proposed no more in this session"]  # fmt: skip
    assert world.breaker.refuses({"model": "large", "x": 1.0}) == "3 trials with model: large failed and none had a result"
    assert world.breaker.refuses({"model": "small"}) is None and world.breaker.refuses({}) is None
    world.ends("failed", model="large")
    assert len(world.said) == 1


def test_two_failures_or_one_result_are_not_enough(world: World) -> None:
    world.ends("complete", model="small")
    world.ends("pruned", model="large")
    for _ in range(9):
        world.ends("failed", model="large")
    world.ends("failed", model="third")
    world.ends("failed", model="third")
    assert world.said == []


def test_a_choice_is_judged_beside_those_of_its_own_path_in_the_search_alone(world: World) -> None:
    for _ in range(3):
        world.ends("failed", model="large", optim__kind="sgd")
    world.ends("complete", model="small", optim__kind="sgd")
    for _ in range(3):
        world.ends("failed", role="confirm", model="small")
    assert [line.partition(" failed")[0] for line in world.said] == ["3 trials with model: large"]


def test_a_place_that_ends_three_trainings_in_a_row_is_out_once_others_complete_elsewhere(world: World) -> None:
    for name in ("a", "b", "c"):
        world.breaker.failed_at(GPUS[0], name)
    assert not world.breaker.broken
    world.ends("complete", GPUS[1])
    assert world.breaker.broken == {"GPU 0"}
    assert world.said == [
        "the last 3 trainings on GPU 0 ended badly, while others completed elsewhere; it gets no more in this session"
    ]


def test_one_training_that_dies_thrice_is_no_broken_place(world: World) -> None:
    for _ in range(3):
        world.breaker.failed_at(GPUS[0], "a")
    world.ends("complete", GPUS[1])
    assert not world.breaker.broken


def test_a_training_that_completes_there_begins_the_count_anew(world: World) -> None:
    for name in "ab":
        world.breaker.failed_at(GPUS[0], name)
    world.ends("complete", GPUS[0])
    world.ends("complete", GPUS[1])
    world.breaker.failed_at(GPUS[0], "c")
    world.ends("failed", GPUS[0], reason="nan-loss: the loss is inf")
    assert not world.breaker.broken
    world.ends("failed", GPUS[0], reason="bug: RuntimeError: CUDA error: an illegal memory access was encountered")
    world.breaker.failed_at(GPUS[0], "d")
    world.ends("complete", GPUS[2])
    assert world.breaker.broken == {"GPU 0"}


def test_the_only_place_is_never_out(world: World) -> None:
    for name in "abcdef":
        world.breaker.failed_at(HERE, name)
    world.ends("complete", HERE)
    assert not world.breaker.broken


def trials_of(study: Any) -> list[Any]:
    stored = optuna.storages.RDBStorage(study.paths.optuna_url)
    return optuna.load_study(study_name="tiny", storage=stored).trials


def states(study: Any) -> list[tuple[str, Any, bool]]:
    trials = trials_of(study)
    return [(t.state.name, t.params["optim.handover_to"], "ocr_sweep.contradiction" in t.user_attrs) for t in trials]


def test_a_study_proposes_a_choice_no_more_that_never_works(faked: Make) -> None:
    search = {"optim.handover_to": {"type": "categorical", "choices": ["sgd", "stop"]}}
    study = faked(trials=9, search=search, sampler={"kind": "random", "seed": 1}, max_failures=9)
    engine = study.engine(
        lambda config, name: Fate(fails="nan-loss: the loss is inf" if config.optim.handover_to == "stop" else "")
    )
    board, said = SilentBoard(), []
    board.say = said.append  # type: ignore[method-assign]
    study.run(board)
    tried = [(state, choice) for state, choice, replaced in states(study) if not replaced]
    assert len(tried) == 9 and tried.count(("FAIL", "stop")) == 3 and tried.count(("COMPLETE", "sgd")) == 6
    assert {choice for _, choice, replaced in states(study) if replaced} == {"stop"}
    assert sum("proposed no more" in line for line in said) == 1 and not any("contradicts" in line for line in said)
    assert sum("search" in name for name in engine.started) == 9, "what is replaced costs nothing of the budget"


def test_a_broken_gpu_gets_no_more_and_its_trials_go_on_elsewhere(faked: Make) -> None:
    study = faked(trials=8, workers=None)
    engine = study.engine(lambda config, name: Fate())
    engine.has = (Machine("", 8, 1e6, (Gpu("0"), Gpu("1"))),)
    real = engine.start

    def start(attempt: Any, place: Place, need: Need) -> Any:
        worker = real(attempt, place, need)
        worker.fate = Fate(dies=99) if place.gpus == ("0",) else Fate()
        return worker

    engine.start = start  # type: ignore[method-assign]
    board, said = SilentBoard(), []
    board.say = said.append  # type: ignore[method-assign]
    study.run(board)
    at_0 = [worker.attempt.folder.name for worker in engine.workers if worker.place.gpus == ("0",)]
    assert sum("GPU 0 ended badly" in line for line in said) == 1
    assert sorted(at_0.count(name) for name in set(at_0)) == [1, 3, 3], "the third one waits for another GPU"
    assert sorted(trial.state.name for trial in trials_of(study)) == ["COMPLETE"] * 6 + ["FAIL"] * 2
