"""A study loses its terminal, its reader, or the process of a device: true states, no orphan, no zombie."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import PROGRAM, environment, here, paths_of, processes_of, started, wait_for

from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.tracking.tracker import Tracker

pytestmark = pytest.mark.slow

LONG = {"trials": 1, "base__training__epochs": 4, "base__training__images_per_epoch": 1600}
RUN = ("sweep", "run", "tiny")


def epochs(root: Path) -> int:
    return len(Attempt(paths_of(root).work("tiny") / "0000-search").events())


def outcomes(root: Path) -> dict[str, str]:
    return {
        record.name: f"{record.status} {record.tags['ocr_sweep.outcome']}" for record in Tracker.open(paths_of(root)).runs("tiny")
    }


def zombies_of(group: int) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split() if entry.name.isdigit() else []
            if fields and int(fields[3]) == group and fields[0] == "Z":
                found.append(int(entry.name))
    return found


def test_a_closed_terminal_stops_the_study_after_a_checkpoint(project: Callable[..., Path]) -> None:
    root = project(**LONG)
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(sys.executable, [*PROGRAM, *RUN], environment(root))
    wait_for(lambda: _read(terminal) and epochs(root) >= 1, "the first epoch", 120)
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 128 + signal.SIGHUP
    wait_for(lambda: not processes_of(pid), "every process of the study to end", 10)
    assert outcomes(root) == {"tiny-0000": "KILLED stopped"}
    assert here(root, "doctor", "tiny").code == 0


def _read(terminal: int) -> bool:
    """Take what is shown, as a terminal does; it would block its writer otherwise."""
    os.set_blocking(terminal, False)
    with contextlib.suppress(BlockingIOError):
        os.read(terminal, 1 << 20)
    return True


def test_a_reader_that_leaves_stops_the_study_and_it_goes_on_later(project: Callable[..., Path]) -> None:
    """As in `ocr-sweep sweep run tiny | head -1`."""
    root = project(trials=2)
    with started(root, *RUN) as process:
        assert process.stdout is not None and "Does smoothing help" in process.stdout.readline()
        process.stdout.close()
        assert process.wait(120) == 128 + signal.SIGPIPE
        assert process.stderr is not None
        assert process.stderr.read().startswith("error: stopped by SIGPIPE: nobody reads what it says any more; every trial is")
        wait_for(lambda: not processes_of(process.pid), "every process of the study to end", 10)
        process.stdout = None  # nothing more is to be read
    assert set(outcomes(root).values()) <= {"FINISHED complete", "KILLED stopped"} and here(root, "doctor", "tiny").code == 0
    assert here(root, *RUN).code == 0 and set(outcomes(root).values()) == {"FINISHED complete"}


@pytest.mark.devices
def test_a_killed_device_costs_no_more_than_an_epoch_and_leaves_nobody(project: Callable[..., Path]) -> None:
    root = project(trials=1, base__training__epochs=6, base__training__images_per_epoch=320, base__training__devices=2)
    with started(root, *RUN) as process:
        wait_for(lambda: epochs(root) >= 1, "the first epoch", 180)
        (device,) = _devices(process.pid)
        os.kill(device, signal.SIGKILL)
        wait_for(lambda: Attempt(paths_of(root).work("tiny") / "0000-search")._deaths.exists(), "the death to be noticed", 60)
        before = epochs(root)
        wait_for(lambda: _devices(process.pid) and device not in _devices(process.pid), "the trial to be started again", 60)
        assert zombies_of(process.pid) == []
        process.terminate()
        process.communicate(timeout=60)
        assert process.returncode == 143 and epochs(root) >= before >= 1
        wait_for(lambda: not processes_of(process.pid), "every process of the study to end", 10)
    assert outcomes(root) == {"tiny-0000": "KILLED stopped"} and here(root, "doctor", "tiny").code == 0


def _devices(group: int) -> list[int]:
    """The processes of a trial's other devices: its children that multiprocessing spawned."""
    found = []
    for pid in processes_of(group):
        with contextlib.suppress(OSError):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().decode()
            if "spawn_main" in command and "resource_tracker" not in command:
                found.append(pid)
    return found
