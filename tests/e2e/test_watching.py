"""A real study that is watched, asked, stopped and killed from other terminals."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny_study import PROGRAM, environment, here, paths_of, started, wait_for

from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.sweep.watching.state import StudyState, read_state, state_file

pytestmark = pytest.mark.slow

LONG = {"trials": 1, "base__training__epochs": 40, "base__training__images_per_epoch": 1600}
RUN = ("sweep", "run", "tiny")


def status(root: Path) -> dict[str, Any]:
    done = here(root, "sweep", "status", "tiny", "--json")
    assert done.code == 0, done.err
    (one,) = json.loads(done.out)
    return dict(one)


def state(root: Path) -> StudyState | None:
    return read_state(state_file(paths_of(root), "tiny"))


def is_under_way(root: Path) -> bool:
    now = state(root)
    return now is not None and any(len(job.curve) >= 2 and job.memory_mb for job in now.running)


def watched_in_terminal(root: Path, leave: bytes) -> tuple[int, str]:
    """Watch in a terminal of its own for a moment and leave by a key; returns the exit code and what the terminal showed."""
    mine, theirs = pty.openpty()
    watcher = subprocess.Popen(
        [*PROGRAM, "sweep", "watch", "tiny"], cwd=root, env={**environment(root), "TERM": "xterm"}, start_new_session=True,
        stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    shown = b""
    deadline = time.monotonic() + 60
    while b"trainings done" not in shown and time.monotonic() < deadline:
        shown += os.read(mine, 65536)
    os.write(mine, leave) if leave else watcher.send_signal(signal.SIGINT)
    deadline = time.monotonic() + 30
    while b"without you" not in shown and time.monotonic() < deadline:  # who stops reading a terminal stops whoever writes to it
        shown += os.read(mine, 65536)
    code = watcher.wait(timeout=30)
    os.close(mine)
    return code, shown.decode(errors="replace")


def test_a_running_study_is_watched_and_stopped_from_elsewhere(project: Callable[..., Path]) -> None:
    root = project(**LONG)
    with started(root, *RUN) as process:
        wait_for(lambda: is_under_way(root), "a trial to be under way")
        now = status(root)
        assert now["condition"] == "running" and now["pid"] == process.pid and now["seconds_left"] > 0
        for leave in (b"q", b""):
            code, shown = watched_in_terminal(root, leave)
            assert code == 0 and "0000" in shown and "MB" in shown and "goes on without you" in shown
        assert process.poll() is None and status(root)["condition"] == "running", "nobody was disturbed"
        said = here(root, "sweep", "logs", "tiny")
        assert "tiny-0000 starts" in said.out
        with started(root, "sweep", "watch", "tiny") as watcher, started(root, "sweep", "logs", "tiny", "-f") as follower:
            time.sleep(3)  # both are looking by now, or see the end at once; either way they must end by themselves
            stopped = here(root, "sweep", "stop", "tiny")
            assert stopped.code == 0 and "stopped by SIGTERM; every trial is checkpointed" in stopped.out, stopped
            assert process.wait(timeout=10) == 143
            out, err = watcher.communicate(timeout=20)
            assert watcher.returncode == 0 and "stopped by SIGTERM" in out, err
            assert follower.communicate(timeout=20)[0].splitlines()[-1].endswith("every trial is checkpointed")
    assert Attempt(paths_of(root).work("tiny") / "0000-search").begun()
    assert status(root)["condition"] == "stopped"
    again = here(root, "sweep", "stop", "tiny")
    assert again.code == 0 and "is not running" in again.out

    with started(root, *RUN) as process:
        wait_for(lambda: (now := state(root)) is not None and now.pid == process.pid and now.running, "the study to go on")
        stopped = here(root, "sweep", "stop", "tiny", "--now")
        assert stopped.code == 0 and "stopped" in stopped.out
        assert process.wait(timeout=10) in (130, 143), "a checkpoint may have been quicker than the second signal"

    with started(root, *RUN) as process:
        wait_for(lambda: (now := state(root)) is not None and now.pid == process.pid and now.running, "the study to go on")
        process.kill()
        process.wait()
        dead = status(root)
        assert dead["condition"] == "died" and dead["pid"] is None and dead["seconds_left"] is None
        assert here(root, "sweep", "stop", "tiny").out.count("is gone without a word") == 1
