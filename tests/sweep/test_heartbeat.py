"""Work and hangs are told apart by the observer's own clock."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_engine import Fate

from ocr_sweep.pulse import beat, heard_by
from ocr_sweep.sweep.trials.heartbeat import Heartbeat, StallWatch
from ocr_sweep.sweep.watching.board import SilentBoard
from ocr_sweep.tracking.tracker import Tracker

Make = Callable[..., Any]


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def looks(watch: StallWatch, clock: Clock, seconds: float, every: float = 1.0) -> bool:
    """Look every so often for so long; whether the last look saw a hang."""
    stalled = False
    for _ in range(int(seconds / every)):
        clock.now += every
        stalled = watch.stalled()
    return stalled


def test_a_beat_is_written_at_most_once_a_second(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, content, at: written.append(content) or real(handle, content, at))
    heart = Heartbeat(tmp_path / "beats", clock)
    for _ in range(1000):
        heart.beat()
        clock.now += 0.0099
    assert len(written) == 10
    assert (tmp_path / "beats").read_bytes() == written[-1] and int(written[-1]) > 900


def test_beats_of_any_loop_are_heard_while_somebody_listens() -> None:
    heard: list[int] = []
    beat()
    with heard_by(lambda: heard.append(1)):
        beat()
        beat()
    beat()
    assert heard == [1, 1]


def test_a_full_disk_is_not_the_heartbeats_to_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "")

    monkeypatch.setattr(os, "pwrite", full)
    Heartbeat(tmp_path / "beats").beat()


def test_quiet_for_too_long_is_a_hang_and_any_beat_is_none(tmp_path: Path, clock: Clock) -> None:
    heart, watch = Heartbeat(tmp_path / "beats", clock), StallWatch(tmp_path / "beats", 60, clock)
    assert not looks(watch, clock, 59)
    heart.beat()
    assert not looks(watch, clock, 60), "the look that sees a beat begins anew"
    assert looks(watch, clock, 1)


def test_a_process_that_never_beats_hangs_too(tmp_path: Path, clock: Clock) -> None:
    assert looks(StallWatch(tmp_path / "beats", 60, clock), clock, 60)


def test_beats_of_a_former_process_count_for_nothing(tmp_path: Path, clock: Clock) -> None:
    Heartbeat(tmp_path / "beats", clock).beat()
    watch = StallWatch(tmp_path / "beats", 60, clock)
    Heartbeat(tmp_path / "beats", clock)
    assert looks(watch, clock, 60), "it was there before the watch began"


def test_an_observer_that_slept_for_hours_judges_by_what_it_sees_after_waking(tmp_path: Path, clock: Clock) -> None:
    heart, watch = Heartbeat(tmp_path / "beats", clock), StallWatch(tmp_path / "beats", 60, clock)
    for _ in range(9):  # again and again, and nothing moved meanwhile
        clock.now += 10_000
        assert not watch.stalled()
    heart.beat()
    assert not watch.stalled() and not looks(watch, clock, 59)
    clock.now += 10_000
    assert watch.stalled(), "nothing in 60 s that were seen"


def test_a_hung_trial_is_ended_with_its_stacks_and_started_again(faked: Make) -> None:
    study = faked(stall_minutes=0.001)
    engine = study.engine(lambda config, name: Fate(hangs={"0000-search": 2, "0001-search": 99}.get(name, 0)))
    board, said = SilentBoard(), []
    board.say = said.append  # type: ignore[method-assign]
    study.run(board)
    records = {record.name: record for record in Tracker.open(study.paths).runs("tiny")}
    assert engine.started.count("0000-search") == 3 and records["tiny-0000"].complete
    assert engine.started.count("0001-search") == 3 and records["tiny-0001"].tags["ocr_sweep.outcome"] == "failed"
    assert records["tiny-0001"].tags["ocr_sweep.reason"] == (
        "hung: its process made no progress for 0.001 minutes; the stacks of its threads are in its log, and so 3 times"
    )
    hung = [worker for worker in engine.workers if worker.killed]
    assert len(hung) == 5 and all(worker.shown == 1 for worker in hung)
    assert not any(worker.shown for worker in engine.workers if not worker.killed)
    assert sum("made no progress" in line and "started again" in line for line in said) == 4
