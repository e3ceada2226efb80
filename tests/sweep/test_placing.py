"""Needs of trainings, the line before the machines, and a study on machines that are too small."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from fake_engine import Fate
from tiny_study import config_of

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.sweep.running import needs as needs_room
from ocr_sweep.sweep.running.needs import Needs, in_steps
from ocr_sweep.sweep.running.run_tags import run_params
from ocr_sweep.sweep.running.slots import Gpu, Machine, Need
from ocr_sweep.sweep.watching.board import SilentBoard
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.training.memory import predicted_mb, step_memory

Make = Callable[..., Any]
MakeTrial = Callable[..., TrialConfig]


def run_of(config: TrialConfig, peak: float, outcome: str = "complete") -> RunRecord:
    params = {key: str(value)[:500] for key, value in run_params(config).items()}
    return RunRecord("id", "name", "FINISHED", {"ocr_sweep.outcome": outcome}, params, {"memory/peak_mb": peak})


def test_a_training_takes_its_threads_on_each_of_its_devices(make_trial: MakeTrial) -> None:
    config = make_trial({"training.threads": 2, "training.devices": 3})
    need = Needs(8).of(config, on_gpus=False)
    assert (need.cores, need.devices) == (6, 3)
    slice_of_it = make_trial({"training.batch_size": 6})  # sixteen images, shared out
    tensors = predicted_mb(step_memory(slice_of_it, 8), slice_of_it.optim)
    assert need.memory_mb == in_steps(3 * (1.15 * tensors + 600))
    assert Needs(8, count_cores=False).of(config, on_gpus=False).cores == 0, "who says a number of workers gets it"


def test_memory_is_asked_for_in_steps_so_that_places_are_alike() -> None:
    assert [in_steps(size) for size in (512, 513, 640, 641, 2100, 0.3, 0.0)] == [512, 576, 640, 704, 2304, 0.375, 0]
    assert len({in_steps(1.15 * peak) for peak in range(620, 660)}) == 1
    assert all(size <= in_steps(size) <= 1.125 * size for size in (1.0, 77.0, 1000.0, 123_456.0))


def test_memory_is_predicted_until_it_is_measured(make_trial: MakeTrial) -> None:
    config, needs = make_trial(), Needs(8)
    tensors = predicted_mb(step_memory(config, 8), config.optim)
    assert needs.of(config, on_gpus=False).memory_mb == in_steps(1.15 * tensors + 600)
    on_gpu = needs.of(config, on_gpus=True)
    assert on_gpu.gpu_memory_mb == pytest.approx(1.15 * tensors + 600) and on_gpu.memory_mb == 2000
    other_point = make_trial({"optim.lr": 0.5, "seed": 9, "training.epochs": 9, "loss.label_smoothing": 0.0})
    needs.learn([run_of(other_point, 900.0), run_of(other_point, 5000.0, outcome="failed")])
    assert needs.of(config, on_gpus=False).memory_mb == in_steps(1.15 * 900)
    needs.heard(other_point, {"memory/peak_mb": 1000.0})
    assert needs.of(config, on_gpus=False).memory_mb == in_steps(1.15 * 1000), "the most that was seen"
    for changed in ({"training.batch_size": 32}, {"model.base_channels": 8}, {"image_size": 32}, {"optim.ema_decay": 0.9}):
        assert needs.of(make_trial(changed), on_gpus=False).memory_mb < 700, "another training: predicted"


def test_a_prediction_is_made_once_and_not_for_nothing(make_trial: MakeTrial, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[TrialConfig] = []
    real = needs_room.step_memory
    monkeypatch.setattr(needs_room, "step_memory", lambda config, classes: asked.append(config) or real(config, classes))
    needs = Needs(8)
    assert needs.of(make_trial(), on_gpus=False, with_memory=False) == Need(cores=1)
    assert not asked
    for seed in range(3):
        needs.of(make_trial({"seed": seed}), on_gpus=False)
    assert len(asked) == 1


class Listener(SilentBoard):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def run(faked: Make, *machines: Machine, **changes: Any) -> tuple[list[int], list[str], list[Any]]:
    """A study on machines; how many trained at a time, what was said, and the workers."""
    study, board = faked(**{"trials": 4, "workers": None, **changes}), Listener()
    engine = study.engine(lambda config, name: Fate())
    engine.has = machines
    at_a_time: list[int] = []
    engine.at_wait = lambda: at_a_time.append(sum(worker.exit_code is None for worker in engine.workers))
    study.run(board)
    return at_a_time, board.said, engine.workers


def needed(study: Any) -> float:
    return Needs(10).of(config_of(study.root).base, on_gpus=False).memory_mb


def test_as_many_train_at_a_time_as_there_are_cores(faked: Make) -> None:
    at_a_time, said, _ = run(faked, Machine("", 3, 1e6))
    assert max(at_a_time) == 3 and said == []


def test_the_head_of_the_line_waits_for_memory_and_it_is_said_once(faked: Make) -> None:
    at_a_time, said, _ = run(faked, Machine("", 8, 1500.0))
    assert max(at_a_time) == 2
    waits = [line for line in said if line.startswith("tiny-0002 waits for memory: it takes about ")]
    assert len(waits) == 1 and "MB are free" in waits[0]


def test_a_training_too_large_for_the_machine_runs_alone(faked: Make) -> None:
    at_a_time, said, workers = run(faked, Machine("", 8, 100.0), trials=2)
    assert max(at_a_time) == 1 and len(workers) == 4
    assert said[0].startswith("tiny-0000 runs alone, because there is not enough memory: it takes about 6")


def test_workers_of_the_study_are_the_limit_and_cores_then_do_not_count(faked: Make) -> None:
    at_a_time, said, _ = run(faked, Machine("", 1, 1e6), workers=3)
    assert max(at_a_time) == 3 and said == []


def test_trials_that_take_half_a_gpu_share_two(faked: Make) -> None:
    gpus = (Gpu("0", 1e5), Gpu("1", 1e5))
    at_a_time, _, workers = run(faked, Machine("", 8, 1e6, gpus), gpu_share=0.5)
    assert max(at_a_time) == 4 and sorted(worker.place.gpus for worker in workers[:4]) == [("0",), ("0",), ("1",), ("1",)]


def lose(engine: Any, machine: str) -> None:
    """Take a machine away, and what runs there with it."""
    engine.has = tuple(one for one in engine.has if one.name != machine)
    for worker in engine.workers:
        if worker.exit_code is None and worker.place.machine == machine:
            worker.kill()
            worker.lost_on = machine


def test_a_trial_whose_machine_is_lost_goes_on_where_there_is_room(faked: Make) -> None:
    study, board = faked(trials=1, workers=None, base__training__epochs=3), Listener()
    engine = study.engine(lambda config, name: Fate())
    engine.has = (Machine("a", 2, 1e6), Machine("b", 1, 1e6))

    def at_wait() -> None:
        if len(engine.workers) == 1 and engine.workers[0].attempt.events():
            lose(engine, "a")

    engine.at_wait = at_wait
    study.run(board)
    assert [worker.place.machine for worker in engine.workers] == ["a", "b", "b"]
    assert board.said == ["tiny-0000: its process was lost on node a; started again from its last checkpoint"]


def test_when_every_machine_is_lost_trials_wait_for_one_and_lose_nothing(faked: Make) -> None:
    study, board = faked(trials=2, workers=None, base__training__epochs=3), Listener()
    engine = study.engine(lambda config, name: Fate())
    engine.has = (Machine("a", 1, 1e6),)
    waits = 0

    def at_wait() -> None:
        nonlocal waits
        if len(engine.workers) == 1 and engine.workers[0].attempt.events():
            lose(engine, "a")
        if not engine.has:
            waits += 1
            engine.has = (Machine("b", 1, 1e6),) if waits > 20 else ()

    engine.at_wait = at_wait
    study.run(board)
    assert waits > 20 and {worker.place.machine for worker in engine.workers[1:]} == {"b"}
    assert [worker.attempt.folder.name for worker in engine.workers[:2]] == ["0000-search"] * 2
    assert board.said[1:] == ["tiny-0000 waits for a machine"]
