"""A study that is killed and stopped in every way ends like one that was left in peace, and leaves nobody behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_study import here, ocr_sweep, paths_of, processes_of, started, wait_for

from ocr_sweep.sweep.trials.attempt import Attempt
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

pytestmark = pytest.mark.slow

# one trial of some seconds, so that there is a middle to be killed in; it is trained twice
LONG = {"trials": 1, "base__training__epochs": 4, "base__training__images_per_epoch": 1600}
RUN = ("sweep", "run", "tiny")
JUDGED = ("val/accuracy", "test/accuracy", "val/accuracy_macro", "selected/epoch", "handover/sgd_lr", "test/accuracy_top5")


def epochs(root: Path, folder: str) -> int:
    return len(Attempt(paths_of(root).work("tiny") / folder).events())


def has_epochs(root: Path, folder: str, number: int) -> None:
    wait_for(lambda: epochs(root, folder) >= number, f"epoch {number} of {folder}")


def trial_process(root: Path, folder: str) -> int | None:
    """The process that writes the trial's log."""
    log = str(paths_of(root).work("tiny") / folder / "log.txt")
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if entry.name.isdigit() and str((entry / "fd" / "1").readlink()) == log:
                return int(entry.name)
    return None


def records(root: Path) -> dict[str, RunRecord]:
    return {record.name: record for record in Tracker.open(paths_of(root)).runs("tiny")}


def nobody_is_left(process: subprocess.Popen[str], seconds: float = 10) -> None:
    wait_for(lambda: not processes_of(process.pid), "every process of the study to end", seconds)


def test_a_study_disturbed_in_every_way_ends_like_an_undisturbed_one(project: Callable[..., Path]) -> None:
    calm = project("calm", **LONG)
    assert here(calm, *RUN).code == 0
    root = project("disturbed", **LONG)

    with started(root, *RUN) as process:
        has_epochs(root, "0000-search", 1)
        pid = trial_process(root, "0000-search")
        assert pid is not None
        os.kill(pid, signal.SIGKILL)  # the supervisor starts it again
        has_epochs(root, "0000-search", 2)
        process.kill()  # SIGKILL: the trial notices, and ends by itself
        process.wait()
        nobody_is_left(process)
    assert epochs(root, "0000-search") < 4, "the trial was killed in its middle, or nothing is shown"
    assert Attempt(paths_of(root).work("tiny") / "0000-search").died() == 2, "one death before this one was counted"

    for number in (signal.SIGINT, signal.SIGHUP):
        with started(root, *RUN) as process:
            wait_for(lambda: trial_process(root, "0000-search"), "the trial to go on")
            os.kill(process.pid, number)
            out, err = process.communicate(timeout=30)
            assert process.returncode == 128 + number, err
            assert err == f"error: stopped by {number.name}; every trial is checkpointed, the same command goes on\n"
            assert "tiny-0000 goes on from its checkpoint" in out
            nobody_is_left(process)
        stopped = records(root)["tiny-0000"]
        assert (stopped.status, stopped.tags["ocr_sweep.outcome"]) == ("KILLED", "stopped")

    with started(root, *RUN) as process:
        has_epochs(root, "0000-confirm-seed1", 1)
        os.killpg(process.pid, signal.SIGTERM)  # to everybody, as a service manager does
        _, err = process.communicate(timeout=30)
        assert process.returncode == 143 and err.startswith("error: ") and err.count("\n") == 1, err
        nobody_is_left(process)
    assert {name: record.status for name, record in records(root).items()} == {
        "tiny-0000": "FINISHED",
        "tiny-0000-seed1": "KILLED",
    }

    with started(root, *RUN) as process:
        wait_for(lambda: trial_process(root, "0000-confirm-seed1"), "the training to go on")
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # twice: wait for nobody
        _, err = process.communicate(timeout=15)
        assert process.returncode == 130 and err.startswith("error: ") and err.count("\n") == 1, err
        nobody_is_left(process)
    assert records(root)["tiny-0000-seed1"].status == "KILLED"

    done = ocr_sweep(root, *RUN)
    assert done.code == 0, done.err
    assert "trial tiny-0000" not in done.out, "what is finished is not trained again"
    disturbed, undisturbed = records(root), records(calm)
    assert set(disturbed) == set(undisturbed) == {"tiny-0000", "tiny-0000-seed1"}
    for name, record in disturbed.items():
        assert record.complete and "ocr_sweep.reason" not in record.tags
        for tag in ("ocr_sweep.weights_sha256", "ocr_sweep.onnx_sha256"):
            assert record.tags[tag] == undisturbed[name].tags[tag]
        assert {m: record.metrics[m] for m in JUDGED} == {m: undisturbed[name].metrics[m] for m in JUDGED}
        client = Tracker.open(paths_of(root)).client
        assert [p.step for p in client.get_metric_history(record.run_id, "epoch/train_loss")] == [1, 2, 3, 4]
    assert here(root, "doctor").code == 0


def test_a_second_sweep_of_a_running_study_is_refused(project: Callable[..., Path]) -> None:
    root = project(**LONG)
    with started(root, *RUN) as process:
        has_epochs(root, "0000-search", 1)
        second = here(root, *RUN)
        assert second.code == 5 and "is being run by process" in second.err and "--join" in second.err
        assert second.err.count("\n") == 1
        assert here(root, "doctor").code == 0, "a running study is nothing wrong"
        process.terminate()
        process.communicate(timeout=30)
        assert process.returncode == 143


def looks_on(process: subprocess.Popen[str]) -> None:
    """Wait until a process says that it looks on."""
    said = process.stdout
    assert said is not None
    wait_for(lambda: "is run by another process" in said.readline(), "the other to look on")


def test_whoever_joins_a_running_study_sees_its_end_and_takes_over_when_it_dies(project: Callable[..., Path]) -> None:
    root = project(trials=1, base__training__epochs=4)
    with started(root, *RUN) as first:
        has_epochs(root, "0000-search", 1)
        with started(root, *RUN, "--join") as second:
            looks_on(second)
            first.kill()
            out, err = second.communicate(timeout=300)
    assert second.returncode == 0, err
    assert "goes on from its checkpoint" in out and "verdict" in out
    alone = here(root, *RUN, "--join")
    assert alone.code == 0 and "is run by another process" not in alone.out and "verdict" in alone.out
    assert here(root, "doctor").code == 0


def test_a_study_that_is_stopped_is_not_begun_again_by_whoever_joined_it(project: Callable[..., Path]) -> None:
    root = project(**LONG)
    with started(root, *RUN) as first:
        has_epochs(root, "0000-search", 1)
        with started(root, *RUN, "--join") as second:
            looks_on(second)
            first.terminate()
            first.communicate(timeout=60)
            out, err = second.communicate(timeout=60)
    assert second.returncode == 0 and "stopped" in out, (out, err)
    assert here(root, "sweep", "status", "tiny").out.count("stopped") >= 1


@pytest.mark.devices
def test_a_trial_on_two_devices_that_hangs_does_not_outlive_its_supervisor(project: Callable[..., Path]) -> None:
    root = project(**LONG, base__training__devices=2)
    with started(root, *RUN) as process:
        has_epochs(root, "0000-search", 1)
        pid = trial_process(root, "0000-search")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)  # it notices nothing any more
        process.kill()
        process.wait()
        nobody_is_left(process)


def test_a_trial_that_is_stopped_for_too_long_is_started_again_and_a_stopped_supervisor_is_no_alarm(
    project: Callable[..., Path],
) -> None:
    root = project(**LONG, stall_minutes=0.05)
    with started(root, *RUN) as process:
        has_epochs(root, "0000-search", 1)
        pid = trial_process(root, "0000-search")
        assert pid is not None
        for number in (signal.SIGSTOP, signal.SIGCONT):  # supervisor and trial, as in a machine that sleeps
            for stopped in (process.pid, pid):
                os.kill(stopped, number)
            time.sleep(5)
        assert trial_process(root, "0000-search") in (pid, None), "five seconds asleep are no hang"
        has_epochs(root, "0000-confirm-seed1", 1)
        pid = trial_process(root, "0000-confirm-seed1")
        assert pid is not None
        os.kill(pid, signal.SIGSTOP)
        wait_for(lambda: trial_process(root, "0000-confirm-seed1") not in (pid, None), "another process to go on", 20)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert out.count("made no progress") == 1 and "tiny-0000-seed1: its process made no progress for 0.05 minutes" in out
