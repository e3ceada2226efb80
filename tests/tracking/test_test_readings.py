from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from tiny_study import paths_of

from ocr_sweep.tracking.record import CORPUS, STUDY, RunRecord
from ocr_sweep.tracking.test_readings import openings, read_test, readings
from ocr_sweep.tracking.tracker import Tracker

NOON = datetime(2026, 11, 25, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
def tracker(project: Callable[..., Path]) -> Tracker:
    return Tracker.open(paths_of(project()))


def a_run(tracker: Tracker, number: int, corpus: str = "a" * 64) -> RunRecord:
    experiment = tracker.experiment("study", {})
    tags = {STUDY: "study", CORPUS: corpus}
    return tracker.run(tracker.begin(experiment, key=f"study/{number}", name=f"run-{number}", tags=tags, params={}))


def test_a_reading_is_written_on_its_run_once_for_each_purpose(tracker: Tracker) -> None:
    one, other = a_run(tracker, 1), a_run(tracker, 2)
    read_test(tracker, [one], "verdict", NOON)
    read_test(tracker, tracker.runs(), "comparison", NOON.replace(hour=13))
    read_test(tracker, tracker.runs(), "comparison", NOON.replace(hour=14))  # tells nothing new
    found = readings(tracker.runs())
    assert [(reading.when, reading.purpose, reading.run_name) for reading in found] == [
        ("2026-11-25T12:00:00Z", "verdict", "run-1"),
        ("2026-11-25T13:00:00Z", "comparison", "run-1"),
        ("2026-11-25T13:00:00Z", "comparison", "run-2"),
    ]
    assert found[0].run_id == one.run_id and found[2].run_id == other.run_id
    assert openings(found, "a" * 64) == "the test sets of corpus aaaaaaaaaaaa have been read 3 times, of 2 runs"


def test_readings_are_counted_by_corpus(tracker: Tracker) -> None:
    read_test(tracker, [a_run(tracker, 1), a_run(tracker, 2, corpus="b" * 64)], "verdict", NOON)
    assert openings(readings(tracker.runs()), "b" * 64) == "the test sets of corpus bbbbbbbbbbbb have been read once, of 1 run"
    assert openings(readings(tracker.runs()), "c" * 64).endswith("have been read 0 times, of 0 runs")


def test_the_time_is_kept_in_utc(tracker: Tracker) -> None:
    read_test(tracker, [a_run(tracker, 1)], "verdict", NOON.astimezone(timezone(timedelta(hours=9))))
    assert readings(tracker.runs())[0].when == "2026-11-25T12:00:00Z"
