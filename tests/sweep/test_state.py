"""The state of a study: whole whenever it is read, and true about who lives."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ocr_sweep.sweep.running.processes import lives, memory_mb, start_of, writers
from ocr_sweep.sweep.watching import state as state_module
from ocr_sweep.sweep.watching.state import Condition, JobState, StudyState, encoded, read_state, write_state

NOW = 1000.0


def job(epoch: int = 0, began: float = NOW) -> JobState:
    return JobState("s-0001", "0001-search", "search", "r", 10, {"lr": "0.1"}, began, epoch=epoch)


def test_a_state_comes_back_as_it_was_written(tmp_path: Path) -> None:
    written = StudyState("s", "m", running=[job(3)], building={"writing": (1, 2)}, machine_mb=(1.0, 2.0), end=Condition.STOPPED)
    write_state(tmp_path / "logs" / "s.json", encoded(written))
    assert read_state(tmp_path / "logs" / "s.json") == written


@pytest.mark.parametrize("content", [b"", b"{", b'{"study": 1}', b"\xff\xfe"])
def test_what_is_no_state_is_read_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "s.json").write_bytes(content)
    assert read_state(tmp_path / "s.json") is None and read_state(tmp_path / "missing.json") is None


def test_a_later_version_may_know_more(tmp_path: Path) -> None:
    data = {**json.loads(encoded(StudyState("s", "m"))), "news": 1}
    (tmp_path / "s.json").write_text(json.dumps(data))
    assert read_state(tmp_path / "s.json") is not None


def test_the_file_is_whole_after_a_kill_at_any_moment(tmp_path: Path) -> None:
    file = tmp_path / "s.json"
    script = (
        "import sys, pathlib, itertools\n"
        "from ocr_sweep.sweep.watching.state import StudyState, encoded, write_state\n"
        "for i in itertools.count():\n"
        "    state = StudyState('s', 'm', total=i, said=['x' * 2000] * (i % 50))\n"
        "    write_state(pathlib.Path(sys.argv[1]), encoded(state))\n"
    )
    for milliseconds in (0, 7, 13):
        file.unlink(missing_ok=True)
        writer = subprocess.Popen([sys.executable, "-c", script, str(file)])
        seen = set()
        while len(seen) < 20:
            assert writer.poll() is None
            found = read_state(file)
            if found is not None:
                assert found.said == ["x" * 2000] * (found.total % 50)
                seen.add(found.total)
            assert found is not None or not seen, "once there is a state, there is always one"
        time.sleep(milliseconds / 1000)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        assert read_state(file) is not None


def test_a_supervisor_lives_only_under_its_own_start(tmp_path: Path) -> None:
    assert StudyState("s", "m").condition(NOW) is Condition.RUNNING
    assert StudyState("s", "m", pid_start="another boot:1").condition(NOW) is Condition.DIED
    gone = subprocess.Popen(["sleep", "60"])
    start = start_of(gone.pid)
    assert lives(gone.pid, start)
    gone.kill()
    os.waitid(os.P_PID, gone.pid, os.WEXITED | os.WNOWAIT)
    assert not lives(gone.pid, start), "one that has ended does not live, though its parent has not asked yet"
    gone.wait()
    assert not lives(gone.pid, start)
    died = StudyState("s", "m", pid=gone.pid, pid_start=start)
    assert died.condition(NOW) is Condition.DIED and not died.is_alive(NOW)
    assert StudyState("s", "m", pid=gone.pid, pid_start=start, end=Condition.FINISHED).condition(NOW) is Condition.FINISHED


def test_nobody_vouches_for_long_for_a_study_on_another_machine() -> None:
    other = StudyState("s", "m", host="elsewhere", pid_start="x", heard=NOW)
    assert other.condition(NOW + 5) is Condition.RUNNING
    assert other.condition(NOW + 500) is Condition.SILENT and other.is_alive(NOW + 500)
    assert StudyState("s", "m").is_here and not other.is_here


def test_a_supervisor_that_ends_while_it_is_looked_at_has_not_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its last act is to write how it ended; a look between reading the file and asking for the process must not miss it."""
    file = tmp_path / "s.json"
    write_state(file, encoded(StudyState("s", "m")))

    def ends(pid: int, start: str) -> bool:
        write_state(file, encoded(StudyState("s", "m", end=Condition.STOPPED)))
        return False

    monkeypatch.setattr(state_module, "lives", ends)
    found = read_state(file)
    assert found is not None and found.end is Condition.STOPPED


def test_time_left_counts_what_runs_by_its_epochs() -> None:
    running = StudyState("s", "m", slots=2, total=10, ended={"complete": 4}, spent_seconds=400, num_spent=4)
    assert running.seconds_left(NOW) == 6 * 100 / 2
    running.running = [job(5), job(0)]
    assert running.seconds_left(NOW) == (4 + 0.5 + 1.0) * 100 / 2
    first = StudyState("s", "m", slots=1, total=2)
    assert first.seconds_left(NOW) is None
    first.running = [job(5, began=NOW - 50)]
    assert first.seconds_left(NOW) == (1 + 0.5) * 100


def test_the_memory_of_a_training_is_that_of_the_processes_that_write_its_log(tmp_path: Path) -> None:
    log, other = tmp_path / "log.txt", tmp_path / "other.txt"
    script = "import time; kept = bytearray(150_000_000); print('ready', flush=True); time.sleep(60)"
    with log.open("w") as out, other.open("w") as elsewhere:
        child = subprocess.Popen([sys.executable, "-c", script], stdout=out)
        stranger = subprocess.Popen(["sleep", "60"], stdout=elsewhere)
    try:
        while not log.read_text():
            time.sleep(0.02)
        assert writers(os.getpid(), {log}) == {log: [child.pid]}
        assert 140 < (memory_mb([child.pid]) or 0) < 200
        assert memory_mb([]) is None
    finally:
        for process in (child, stranger):
            process.kill()
            process.wait()
    assert writers(os.getpid(), {log}) == {} and memory_mb([child.pid]) is None
    assert socket.gethostname() == StudyState("s", "m").host
