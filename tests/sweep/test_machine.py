"""What a machine gives, read from files as Linux writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from ocr_sweep.sweep.running import machine
from ocr_sweep.sweep.running.cgroup import cores_allowed, memory_left_mb, out_of_memory_kills
from ocr_sweep.sweep.running.machine import this_machine, visible_gpus
from ocr_sweep.sweep.running.slots import Gpu

MB = 2**20


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


@pytest.fixture
def version_2(tmp_path: Path) -> Path:
    """A group without limits in one that has them."""
    group = "sys/fs/cgroup/job"
    return written(
        tmp_path,
        {
            "proc/self/cgroup": "0::/job/inner",
            f"{group}/inner/memory.max": "max",
            f"{group}/inner/memory.current": str(900 * MB),
            f"{group}/inner/cpu.max": "max 100000",
            f"{group}/inner/memory.events": "low 0\noom 3\noom_kill 2",
            f"{group}/memory.max": str(2000 * MB),
            f"{group}/memory.current": str(1500 * MB),
            f"{group}/memory.stat": f"anon 5\ninactive_file {400 * MB}\nactive_file 7",
            f"{group}/memory.events": "oom_kill 9",
            f"{group}/cpu.max": "150000 100000",
        },
    )


@pytest.fixture
def version_1(tmp_path: Path) -> Path:
    """A container's view: the group's name is the host's, its files lie at the mount."""
    memory, cpu = "sys/fs/cgroup/memory", "sys/fs/cgroup/cpu,cpuacct"
    return written(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/abc\n4:memory:/docker/abc\n0::/",
            f"{memory}/memory.limit_in_bytes": str(1000 * MB),
            f"{memory}/memory.usage_in_bytes": str(700 * MB),
            f"{memory}/memory.stat": f"inactive_file 1\ntotal_inactive_file {100 * MB}",
            f"{memory}/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 4",
            f"{cpu}/cpu.cfs_quota_us": "400000",
            f"{cpu}/cpu.cfs_period_us": "100000",
        },
    )


def test_the_limits_of_every_group_around_a_process_count(version_2: Path) -> None:
    assert cores_allowed(version_2) == 1.5
    assert memory_left_mb(version_2) == 2000 - 1500 + 400, "cached files are given back when memory is needed"


def test_kills_are_those_of_the_innermost_group(version_2: Path) -> None:
    assert out_of_memory_kills(version_2) == 2


def test_version_1_says_the_same_in_other_words(version_1: Path) -> None:
    assert (cores_allowed(version_1), memory_left_mb(version_1), out_of_memory_kills(version_1)) == (4, 400, 4)


def test_without_groups_there_is_no_limit_and_the_kernel_counts(tmp_path: Path) -> None:
    root = written(tmp_path, {"proc/vmstat": "nr_free_pages 5\noom_kill 6"})
    assert cores_allowed(root) == memory_left_mb(root) == float("inf") and out_of_memory_kills(root) == 6


def test_no_quota_of_version_1_is_no_limit(version_1: Path) -> None:
    written(version_1, {"sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1"})
    assert cores_allowed(version_1) == float("inf")


def test_this_machine_keeps_to_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine.os, "sched_getaffinity", lambda pid: set(range(8)))
    monkeypatch.setattr(machine, "cores_allowed", lambda: 2.9)
    monkeypatch.setattr(machine, "memory_left_mb", lambda: 123.0)
    found = this_machine()
    assert (found.cores, found.memory_mb) == (2, 123.0)
    monkeypatch.setattr(machine, "cores_allowed", lambda: 0.3)
    monkeypatch.setattr(machine, "memory_left_mb", lambda: float("inf"))
    found = this_machine()
    assert found.cores == 1 and 0 < found.memory_mb < float("inf")


def test_gpus_go_by_the_names_that_the_user_gave_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_free_gpu_memory_mb", lambda: [20_000.0, 10_000.0, 8_000.0])
    assert visible_gpus({}, 2) == (Gpu("0", 20_000), Gpu("1", 10_000))
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": "GPU-5f, 2"}, 2) == (Gpu("GPU-5f", 8_000), Gpu("2", 8_000))
    assert visible_gpus({"CUDA_VISIBLE_DEVICES": ""}, 0) == ()
    monkeypatch.setattr(machine, "_free_gpu_memory_mb", list)
    assert visible_gpus({}, 1) == (Gpu("0", float("inf")),), "nobody says how large it is"
