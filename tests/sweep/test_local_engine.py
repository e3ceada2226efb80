"""Trials as processes of this machine: what they see, how they hang, run out of memory and are left alone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import bad_trials
import pytest
from tiny_study import config_of, paths_of, wait_for

from ocr_sweep.sweep.running import local_engine
from ocr_sweep.sweep.study_loop import run_study
from ocr_sweep.sweep.trials import trial
from ocr_sweep.sweep.watching.board import SilentBoard
from ocr_sweep.tracking.record import RunRecord
from ocr_sweep.tracking.tracker import Tracker

Project = Callable[..., Path]


@pytest.mark.parametrize(
    ("visible", "gpus", "seen"),
    [(None, ("1", "3"), "1,3 PCI_BUS_ID"), ("GPU-a,GPU-b", ("GPU-b",), "GPU-b -"), (None, (), "- -"), ("0,1", (), "0,1 -")],
)
def test_a_trial_sees_the_gpus_of_its_place(
    visible: str | None, gpus: tuple[str, ...], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mock.patch.dict(os.environ):
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        if visible is not None:
            os.environ["CUDA_VISIBLE_DEVICES"] = visible
        told: list[str] = []
        names = ("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER")
        monkeypatch.setattr(trial, "run_attempt", lambda folder: told.append(" ".join(os.environ.get(n, "-") for n in names)))
        monkeypatch.setattr(local_engine, "post_guard", lambda: 0)
        monkeypatch.setattr(local_engine, "dismiss", lambda guard: None)
        local_engine._run("folder", ",".join(gpus))
    assert told == [seen]


def environment_here() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path])}


def run(root: Path) -> tuple[dict[str, RunRecord], list[str]]:
    board, said = SilentBoard(), []
    board.say = said.append  # type: ignore[method-assign]
    run_study(config_of(root), paths_of(root), board)
    return {record.name: record for record in Tracker.open(paths_of(root)).runs("tiny")}, said


def same_training(one: RunRecord, other: RunRecord) -> bool:
    return one.tags["ocr_sweep.weights_sha256"] == other.tags["ocr_sweep.weights_sha256"]


@pytest.mark.slow
def test_a_real_trial_that_hangs_shows_its_stacks_and_ends_like_any_other(
    project: Project, finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = project(trials=1, stall_minutes=0.3)
    monkeypatch.setattr(local_engine, "_run", bad_trials.hang_once)
    records, said = run(root)
    assert said[0].startswith("tiny-0000: its process made no progress for 0.3 minutes; the stacks of its threads are in its log")
    calm = {record.name: record for record in Tracker.open(paths_of(finished)).runs("tiny")}
    assert records["tiny-0000"].complete and same_training(records["tiny-0000"], calm["tiny-0000"])
    log = next((root / "mlruns" / "artifacts" / "tiny" / records["tiny-0000"].run_id).rglob("log.txt")).read_text()
    assert "most recent call first" in log and "in hanging" in log and "in run_attempt" in log


@pytest.mark.slow
def test_a_real_trial_without_memory_goes_on_in_parts(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    calm = project("calm", trials=1, base__training__batch_size=32, base__training__accumulate=4)
    asked, _ = run(calm)
    root = project(trials=1, base__training__batch_size=32)
    monkeypatch.setattr(local_engine, "_run", bad_trials.need_four_parts)
    records, said = run(root)
    assert [line.partition(" batches in ")[2].partition(",")[0] for line in said] == [
        "2 parts of 16 images",
        "4 parts of 8 images",
    ]
    for name in ("tiny-0000", "tiny-0000-seed1"):
        assert records[name].complete and records[name].tags["ocr_sweep.micro_batches"] == "4"
        assert records[name].params["training.accumulate"] == "1", "the configuration stays as it was asked for"
        assert same_training(records[name], asked[name]), "and the training is that of accumulate: 4"


@pytest.fixture
def small_group(tmp_path: Path) -> Iterator[Path]:
    """A control group of this machine with 1,500 MB of memory: a trial takes more of them than its engine, and is chosen."""
    group = next(filter(None, map(made, ("memory", ""), ("memory.limit_in_bytes", "memory.max"))), None)
    if group is None:
        pytest.skip("this machine lets nobody make a control group with a memory limit")
    yield group
    wait_for(lambda: not (group / "cgroup.procs").read_text(), "the last process to leave the group")
    group.rmdir()


def made(mount: str, limit: str) -> Path | None:
    group = Path("/sys/fs/cgroup") / mount / f"ocr-sweep-test-{os.getpid()}"
    try:
        group.mkdir()
        (group / limit).write_text(str(1500 * 2**20))
    except OSError:
        if group.exists():
            group.rmdir()
        return None
    return group


@pytest.mark.slow
def test_a_kill_by_the_kernel_for_memory_is_told_from_others(small_group: Path, tmp_path: Path) -> None:
    script = f"echo $$ > {small_group}/cgroup.procs && exec {sys.executable} {bad_trials.__file__} {tmp_path}"
    done = subprocess.run(["sh", "-c", script], env=environment_here(), timeout=120)
    assert done.returncode == 0


def test_each_kill_by_the_kernel_explains_one_death(monkeypatch: pytest.MonkeyPatch) -> None:
    counted = [5]  # before any of ours
    monkeypatch.setattr(local_engine, "out_of_memory_kills", lambda: counted[0])
    kills = local_engine._Kills()
    by_hand, by_kernel, beside, device, failed = (local_engine._Process(Ended(code), kills) for code in (-9, -9, -9, 6, 1))
    assert not by_hand.out_of_memory
    counted[0] = 7
    assert not failed.out_of_memory, "it has said itself what ended it"
    assert by_kernel.out_of_memory and by_kernel.out_of_memory
    assert device.out_of_memory, "the process of another device was killed, and the trial ended for want of it"
    assert not beside.out_of_memory
    assert not local_engine._Process(Ended(-9), kills).out_of_memory


class Ended:
    """A process that is no more."""

    def __init__(self, code: int) -> None:
        self.exitcode = code
