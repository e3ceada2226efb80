"""The processes of other devices: they say why they fail, and end with the trial however it ends."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import other_work
import pytest

from ocr_sweep.errors import ProcessDiedError, TrialFailedError
from ocr_sweep.training.processes import other_processes


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)


def nobody_is_left(folder: Path) -> bool:
    return not multiprocessing.active_children() and not list(folder.glob("rendezvous-*"))


def test_they_end_by_themselves_when_their_work_is_done(tmp_path: Path) -> None:
    (tmp_path / "rendezvous-of-a-trial-that-was-killed").touch()
    with other_processes(3, tmp_path, other_work.finish, tmp_path) as rendezvous:
        assert rendezvous.parent == tmp_path and nobody_is_left(tmp_path) is False
    assert {path.name for path in tmp_path.iterdir()} == {"done1", "done2"} and nobody_is_left(tmp_path)


def test_one_that_fails_says_why(tmp_path: Path) -> None:
    with (
        pytest.raises(TrialFailedError, match=r"^oom: the memory of the GPU does not suffice$"),
        other_processes(2, tmp_path, other_work.refuse, tmp_path),
    ):
        pytest.fail("nothing begins without it")
    assert nobody_is_left(tmp_path)


def test_a_bug_in_one_is_behind_the_error_that_it_causes(tmp_path: Path) -> None:
    with (
        pytest.raises(TrialFailedError, match=r"^bug: ZeroDivisionError: of nothing, in the process of device 1; the log"),
        other_processes(2, tmp_path, other_work.stumble, tmp_path),
    ):
        raise RuntimeError("connection closed by peer")
    assert nobody_is_left(tmp_path)


def test_an_error_of_the_trial_itself_stays_and_ends_all(tmp_path: Path) -> None:
    with pytest.raises(TrialFailedError, match="nan-loss"), other_processes(2, tmp_path, other_work.sleep, tmp_path):
        raise TrialFailedError("nan-loss: the loss is nan")
    assert nobody_is_left(tmp_path) and not other_work.alive(int((tmp_path / "pid1").read_text()))


def test_one_that_is_killed_is_named_and_no_other_signal_reaches_it(tmp_path: Path) -> None:
    with (
        pytest.raises(ProcessDiedError, match=r"all 3 processes .* but that of device 2 was killed by SIGKILL; if the machine's"),
        other_processes(3, tmp_path, other_work.sleep, tmp_path),
    ):
        pids = [int((tmp_path / f"pid{rank}").read_text()) for rank in (1, 2)]
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            for pid in pids:
                os.kill(pid, number)
        time.sleep(0.2)
        assert all(other_work.alive(pid) for pid in pids)
        os.kill(pids[1], signal.SIGKILL)
        raise RuntimeError("connection closed by peer")
    assert nobody_is_left(tmp_path) and not any(other_work.alive(pid) for pid in pids)


@pytest.mark.parametrize(("killed", "code"), [("trial", -signal.SIGKILL), ("other", 6)])
def test_one_does_not_outlive_the_other(killed: str, code: int, tmp_path: Path) -> None:
    trial = multiprocessing.get_context("spawn").Process(target=other_work.hold, args=(tmp_path, 0.2))
    trial.start()
    wait_for((tmp_path / "pid1").exists)
    wait_for(lambda: (tmp_path / "pid1").read_text() != "")
    other = int((tmp_path / "pid1").read_text())
    assert trial.pid is not None and other_work.alive(other)
    os.kill(trial.pid if killed == "trial" else other, signal.SIGKILL)
    trial.join(30)
    assert trial.exitcode == code
    wait_for(lambda: not other_work.alive(other))
