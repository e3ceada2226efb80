"""`sweep watch`, `status`, `stop` and `logs` about studies in every condition; see also e2e/test_watching.py."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import here, paths_of, refused

from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.watching.plain_text import printable
from ocr_sweep.sweep.watching.state import Condition, JobState, StudyState, encoded, state_file, write_state
from ocr_sweep.sweep.watching.study_log import append_line, log_file
from ocr_sweep.tracking.tracker import Tracker

EVIL = "\x1b[2Jrow\x07\r\u202e\u009b31m 天\u3000地"
TAMED = "\\x1b[2Jrow\\x07\\r\\u202e\\x9b31m 天\u3000地"


def put(root: Path, **changes: object) -> StudyState:
    """Give the tiny study a state."""
    best = JobState("tiny-0001", "0001-search", "search", "r", 5, {}, 0.0, "complete", value=0.5, low=0.4, high=0.6)
    state = StudyState("tiny", "val/accuracy_macro", total=9, ended={"complete": 4}, best=best, heard=time.time(), slots=1)
    for name, value in changes.items():
        setattr(state, name, value)
    write_state(state_file(paths_of(root), "tiny"), encoded(state))
    return state


@pytest.fixture
def root(project: Callable[..., Path]) -> Path:
    return project()


def test_a_study_that_was_never_run(root: Path) -> None:
    assert "tiny" in (done := here(root, "sweep", "status")).out and "never run" in done.out
    assert "never run" in here(root, "sweep", "status", "tiny").out
    refused(here(root, "sweep", "status", "tinny"), 2, "no study 'tinny'", "did you mean 'tiny'?")
    for command in ("watch", "stop"):
        refused(here(root, "sweep", command, "tiny"), 2, "has had no session", "make sweep STUDY=tiny")
    refused(here(root, "sweep", "logs", "tiny"), 2, "has said nothing yet")
    refused(here(root, "sweep", "logs", "tiny", "3"), 2, "no run 'tiny-0003'")


def test_a_dead_supervisor_is_not_a_running_study(root: Path) -> None:
    put(root, pid_start="another boot:1")
    done = here(root, "sweep", "status", "tiny")
    assert done.code == 0 and "died" in done.out and "4 of 9" in done.out and "50.0 % [40.0, 60.0]" in done.out
    assert "is gone" in done.out and "left" not in done.out.splitlines()[-2]
    watched = here(root, "sweep", "watch", "tiny")
    assert watched.code == 0 and "died" in watched.out and "make sweep STUDY=tiny" in watched.out
    stopped = here(root, "sweep", "stop", "tiny")
    assert stopped.code == 0 and "is not running: it died" in stopped.out


def test_a_study_on_another_machine_is_shown_and_not_signalled(root: Path) -> None:
    put(root, host="elsewhere", pid=1)
    assert "running" in here(root, "sweep", "status", "tiny").out
    refused(here(root, "sweep", "stop", "tiny"), 5, "on elsewhere, process 1")
    put(root, host="elsewhere", pid=1, heard=time.time() - 600)
    assert "silent" in here(root, "sweep", "status", "tiny").out
    put(root, host="elsewhere", pid=1, end=Condition.FINISHED, sentence="trial 1 won")
    assert "it finished" in here(root, "sweep", "stop", "tiny").out


def test_a_stopped_study_says_so_everywhere(root: Path) -> None:
    put(root, end=Condition.STOPPED, sentence="stopped by SIGTERM; every trial is checkpointed")
    for command in ("status", "watch", "stop"):
        done = here(root, "sweep", command, "tiny")
        assert done.code == 0 and "stopped" in done.out and "every trial is checkpointed" in done.out, command


def test_status_for_programs(root: Path) -> None:
    put(root, running=[JobState("tiny-0004", "0004-search", "search", "r", 4, {}, time.time() - 10, epoch=2)])
    (one,) = json.loads(here(root, "sweep", "status", "--json").out)
    assert one["study"] == "tiny" and one["condition"] == "running" and (one["done"], one["total"]) == (4, 9)
    assert one["best"]["low"] == 0.4 and one["best"]["metric"] == "val/accuracy_macro" and one["pid"] > 0
    assert one["seconds_left"] == pytest.approx(4.5 * 20, rel=0.2) and one["log"].endswith("logs/tiny.log")
    assert json.loads(here(root, "sweep", "status", "tiny", "--json").out)[0]["study"] == "tiny"


def test_a_study_of_a_former_version_is_known_by_its_runs(damaged: Path) -> None:
    state_file(paths_of(damaged), "tiny").unlink()
    (one,) = json.loads(here(damaged, "sweep", "status", "tiny", "--json").out)
    assert one["condition"] == "finished" and one["done"] == 5 and one["total"] is None
    assert one["best"]["low"] <= one["best"]["value"] <= one["best"]["high"] and one["sentence"]


def test_a_finished_study_shows_its_end(finished: Path) -> None:
    done = here(finished, "sweep", "watch", "tiny")
    assert done.code == 0 and "5 of 5 trainings done" in done.out and "winner trial" in done.out
    (one,) = json.loads(here(finished, "sweep", "status", "tiny", "--json").out)
    assert one["condition"] == "finished" and one["sentence"] in done.out and one["best"]["low"] is not None
    assert "begins on" in here(finished, "sweep", "logs", "tiny").out


def test_what_others_said_steers_no_terminal(root: Path, damaged: Path) -> None:
    attempt = Attempt(paths_of(root).work("tiny") / "0003-confirm-seed1")
    attempt.folder.mkdir(parents=True)
    attempt.log.write_text(f"{EVIL}\nsecond\n")
    for name in ("3-seed1", "0003-seed1", "tiny-0003-seed1"):
        assert here(root, "sweep", "logs", "tiny", name).out == f"{TAMED}\nsecond\n"
    append_line(log_file(paths_of(root), "tiny"), EVIL)
    assert here(root, "sweep", "logs", "tiny").out.rstrip("\n").endswith(TAMED)
    put(root, said=[EVIL], end=Condition.FAILED, sentence=EVIL)
    for command in ("status", "watch"):
        out = here(root, "sweep", command, "tiny").out
        assert "\x1b[2J" not in out and "\u202e" not in out and "\\x1b[2Jrow" in out
    tracker = Tracker.open(paths_of(damaged))
    record = next(record for record in tracker.runs("tiny") if record.name == "tiny-0001")
    tracker.upload_text(record.run_id, EVIL, "log.txt")
    assert here(damaged, "sweep", "logs", "tiny", "1").out == TAMED, "a finished trial's log comes from its run"
    assert here(damaged, "sweep", "logs", "tiny", "0").out == "run tiny-0000 said nothing\n"


def test_printable_keeps_what_people_write() -> None:
    assert printable("天\u3000地 é\n\tok") == "天\u3000地 é\n\tok"
    assert printable("a\nb", keep="") == "a\\nb" and printable("\x00\x7f\u2028\ud800") == "\\x00\\x7f\\u2028\\ud800"
