"""A search without trainings: sessions of it, and results as a test tells them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from tiny_study import config_of, paths_of, study_data

from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.search.search import Search
from ocr_sweep.sweep.search.storage import open_study
from ocr_sweep.sweep.watching.board import Job, Result
from ocr_sweep.tracking.record import Outcome

Session = Callable[[], Search]
Worth = Callable[[Job], tuple[dict[str, float], float]]  # costs, and the value


def session_of(root: Path, study: StudyConfig, say: Callable[[str], None] = lambda sentence: None) -> Session:
    return lambda: Search(study, open_study(study, paths_of(root), "corpus"), paths_of(root).optuna_url, say)


def end(search: Search, job: Job, value: float = 0.5, outcome: Outcome = Outcome.COMPLETE, **costs: float) -> None:
    """Tell a result; a cost goes by its name behind `cost/`."""
    metrics = {"val/accuracy_macro": value, **{f"cost/{name}": cost for name, cost in costs.items()}}
    run = f"run-{job.trial}" + (f"-{job.suffix}" if job.suffix else "")
    search.on_end(Result(job, run, outcome, metrics if outcome is Outcome.COMPLETE else {}, ""))


def next_of(search: Search) -> Job:
    job = search.next_job()
    assert job is not None
    return job


def write(root: Path, **changes: Any) -> StudyConfig:
    (root / "sweeps" / "tiny.yaml").write_text(yaml.safe_dump(study_data(**changes), allow_unicode=True), encoding="utf-8")
    return config_of(root)


def with_blocks(root: Path, **changes: Any) -> StudyConfig:
    """Three networks, of which one brings a parameter of its own."""
    base = study_data()["base"]["model"]
    for name, channels in (("small", 4), ("middle", 6), ("wide", 8)):
        (root / "sweeps" / f"{name}.yaml").write_text(yaml.safe_dump({**base, "base_channels": channels}))
    search = {
        "loss.label_smoothing": {"type": "float", "low": 0.0, "high": 0.2},
        "model": {"type": "categorical", "choices": ["small.yaml", "middle.yaml", "wide.yaml"]},
        "model.dropout": {"type": "float", "low": 0.0, "high": 0.5, "when": {"model": "wide"}},
    }
    return write(root, base__model="small.yaml", search=search, trials=8, **changes)


def drive(new_session: Session, *, slots: int = 1, sessions: int = 1, worth: Worth = lambda job: ({}, 0.5)) -> list[Job]:
    """Run a search to its end with so many trainings at a time, in so many sessions; the jobs in the order of their numbers.

    The oldest of the running trainings but one ends first, so that results come out of turn.
    """
    jobs: dict[int, Job] = {}
    search, running, left = new_session(), list[Job](), sessions - 1
    while True:
        while len(running) < slots and (job := search.next_job()) is not None:
            running.append(job)
            jobs[job.trial] = job
        if not running:
            return [jobs[number] for number in sorted(jobs)]
        job = running.pop(1 if len(running) > 1 else 0)
        costs, value = worth(job)
        end(search, job, value, **costs)
        if left and len(jobs) % 4 == 0:
            search, running, left = new_session(), [], left - 1


def smooth(job: Job) -> tuple[dict[str, float], float]:
    """A result that depends on the point alone, best at 0.3 in every number; the cost rises with them."""
    numbers = [float(value) for value in job.params.values() if isinstance(value, int | float)]
    return {"parameters": 1.0 + sum(numbers)}, 1.0 / (1.0 + sum((number - 0.3) ** 2 for number in numbers))
