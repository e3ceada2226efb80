"""What a study tells is recorded for everybody, and never in its way."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fake_engine import Fate

from ocr_sweep.disk import file_lock
from ocr_sweep.errors import ConflictError, StoppedError, TooManyFailuresError
from ocr_sweep.sweep.watching import study_log
from ocr_sweep.sweep.watching.recording_board import RecordingBoard
from ocr_sweep.sweep.watching.state import Condition, StudyState, read_state, state_file
from ocr_sweep.sweep.watching.study_log import append_line, former, log_file
from ocr_sweep.tracking.record import OUTCOME, ROLE, RunRecord

Make = Callable[..., Any]


def session(study: Any) -> StudyState:
    """Run the study once, recorded; whatever ends it."""
    with RecordingBoard(study.paths, study="tiny", metric="val/accuracy_macro") as board:
        study.run(board)
    return last(study)


def last(study: Any) -> StudyState:
    found = read_state(state_file(study.paths, "tiny"))
    assert found is not None
    return found


def sayings(study: Any) -> str:
    return log_file(study.paths, "tiny").read_text()


def test_a_study_ends_with_its_winner_on_record(faked: Make) -> None:
    study = faked()
    study.engine(
        lambda config, name: Fate(fails="nan-loss" if name == "0002-search" else "", right=1.0 if "0001" in name else 0.2)
    )
    state = session(study)
    assert state.end is Condition.FINISHED and state.engine == "local" and state.slots == 1
    assert state.ended == {"complete": 4, "failed": 1} and state.done == state.total == 5 and not state.running
    assert state.best is not None and state.best.name == "trial 1" and state.best.low < state.best.value <= state.best.high  # type: ignore[operator]
    assert "trial 1" in state.sentence
    curves = {job.name: job.curve for job in state.recent}
    assert curves["tiny-0001"] == [1.0, 1.0] and curves["tiny-0002"] == [0.2]
    assert not study.paths.work("tiny").exists(), "the state is not with the trials in progress"
    said = sayings(study)
    assert "tiny-0002 failed" in said and "nan-loss" in said and said.rstrip().endswith(state.sentence)


def test_a_session_counts_what_former_ones_did(faked: Make) -> None:
    study = faked(trials=4)
    engine = study.engine(lambda config, name: Fate(right=0.9 if name == "0001-search" else 0.5))

    def stop() -> None:
        if "0002-search" in engine.started:
            os.kill(os.getpid(), 15)

    engine.at_wait = stop
    with pytest.raises(StoppedError):
        session(study)
    stopped = last(study)
    assert stopped.end is Condition.STOPPED and "checkpointed" in stopped.sentence
    assert stopped.done == 2 and [job.state for job in stopped.running] == ["stopped"]
    seen: list[tuple[int, str]] = []

    class Looking(RecordingBoard):
        def started(self, *args: Any) -> None:
            super().started(*args)
            seen.append((self.state.done, self.state.best.name if self.state.best else ""))

    study.engine(lambda config, name: Fate())
    with Looking(study.paths, study="tiny", metric="val/accuracy_macro") as board:
        study.run(board)
    assert seen[0] == (2, "tiny-0001"), "the best of a former session is the best so far"
    assert last(study).ended == {"complete": 6}


def test_neither_an_audited_trial_nor_another_version_s_is_the_best() -> None:
    def run(name: str, role: str, value: float) -> RunRecord:
        return RunRecord(name, name, "FINISHED", {OUTCOME: "complete", ROLE: role}, {}, {"val/accuracy_macro": value})

    old, searched, audited = run("former", "search", 0.99), run("searched", "search", 0.5), run("audited", "audit", 0.9)
    with RecordingBoard(None, study="tiny", metric="val/accuracy_macro") as board:
        board.resumed([old, searched, audited])
        assert board.state.best is not None and board.state.best.name == "former"
        board.resumed([searched, audited])  # the study has grown, and the former run is no part of it
        assert board.state.best is not None and board.state.best.name == "searched"
        assert board.state.done == 2


def test_a_study_that_fails_says_why(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate(fails="nan-loss"))
    with pytest.raises(TooManyFailuresError):
        session(study)
    state = last(study)
    assert state.end is Condition.FAILED and "none of its 3 trials" in state.sentence


def test_who_is_refused_records_nothing(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate())
    session(study)
    before = state_file(study.paths, "tiny").read_bytes(), sayings(study)
    with file_lock(study.paths.lock("study-tiny"), wait=False), pytest.raises(ConflictError):
        session(study)
    assert (state_file(study.paths, "tiny").read_bytes(), sayings(study)) == before


def test_a_full_disk_ends_no_study_and_is_said_once(faked: Make) -> None:
    study = faked()
    study.engine(lambda config, name: Fate())
    logs = study.paths.logs
    logs.mkdir()
    (logs / ".tiny.json.tmp").symlink_to("/dev/full")
    (logs / "tiny.log").symlink_to("/dev/full")
    said: list[str] = []

    class Hearing(RecordingBoard):
        def say(self, message: str) -> None:
            super().say(message)
            said.append(message)

    with Hearing(study.paths, study="tiny", metric="val/accuracy_macro") as board:
        study.run(board)
        time.sleep(1.2)  # a writing by the clock
    assert said == ["what `sweep watch` shows is not written for now: No space left on device; the study goes on"]
    assert not state_file(study.paths, "tiny").exists()


def test_a_study_is_seen_from_its_first_second_on(faked: Make) -> None:
    study = faked()
    seen: list[StudyState | None] = []

    class Looking(RecordingBoard):
        def plan(self, *, total: int, slots: int) -> None:
            super().plan(total=total, slots=slots)
            deadline = time.monotonic() + 5
            while not state_file(study.paths, "tiny").exists() and time.monotonic() < deadline:
                time.sleep(0.01)
            seen.append(read_state(state_file(study.paths, "tiny")))

    study.engine(lambda config, name: Fate())
    with Looking(study.paths, study="tiny", metric="val/accuracy_macro") as board:
        study.run(board)
    assert seen[0] is not None and seen[0].condition(time.time()) is Condition.RUNNING


def test_the_log_stays_small_and_keeps_one_line_per_saying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(study_log, "_LIMIT", 1000)
    file = tmp_path / "logs" / "s.log"
    for number in range(60):
        append_line(file, f"{number} forged\n2026-01-01 00:00:00 line \x1b[2J")
    lines = former(file).read_text().splitlines() + file.read_text().splitlines()
    assert file.stat().st_size < 1200 and former(file).stat().st_size < 1200
    assert lines[-1].endswith("59 forged\\n2026-01-01 00:00:00 line \\x1b[2J")
    numbers = [int(line.split()[2]) for line in lines]
    assert numbers == list(range(numbers[0], 60)), "each saying is one line, and none is missing"
