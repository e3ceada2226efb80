"""What the kernel tells of processes: whether one still lives, who wrote to a file, and how much memory it takes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MB = 2**20
_PROC = Path("/proc")


def start_of(pid: int) -> str:
    """Tells a process from every other that ever had its number: the boot of the machine, and the clock tick of its start.

    Raises:
        ProcessLookupError: it has ended, though nobody may have asked how.
        OSError: there is no such process.
    """
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    if fields[0] in "ZX":
        raise ProcessLookupError(f"process {pid} has ended")
    return f"{(_PROC / 'sys/kernel/random/boot_id').read_text().strip()}:{fields[19]}"


def lives(pid: int, start: str) -> bool:
    """Whether the process that began so is still there."""
    try:
        return start_of(pid) == start
    except ProcessLookupError:
        return False
    except OSError:
        return _is_hidden(pid)


def _is_hidden(pid: int) -> bool:
    """Whether it belongs to somebody else, whose processes this machine does not show."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except OSError:
        return False
    return False


def writers(ancestor: int, files: set[Path]) -> dict[Path, list[int]]:
    """The processes below `ancestor` whose output goes to one of the files, by file."""
    found: dict[Path, list[int]] = {}
    for pid in _descendants(ancestor):
        with suppress(OSError):
            target = (_PROC / str(pid) / "fd" / "1").readlink()
            if target in files:
                found.setdefault(target, []).append(pid)
    return found


def _descendants(pid: int) -> Iterator[int]:
    with suppress(OSError):
        for task in (_PROC / str(pid) / "task").iterdir():
            for child in (task / "children").read_text().split():
                yield int(child)
                yield from _descendants(int(child))


def memory_mb(pids: list[int]) -> float | None:
    """Resident memory of processes together; a page that several share counts once. None where none can be read."""
    known = [kilobytes for pid in pids if (kilobytes := _proportional_kilobytes(pid)) is not None]
    return sum(known) / 1024 if known else None


def _proportional_kilobytes(pid: int) -> int | None:
    with suppress(OSError):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    return None


def machine_memory_mb() -> tuple[float, float]:
    """Memory in use and in all, of the machine or of the part of it that this process may have (its control group)."""
    known = {line.split(":")[0]: int(line.split()[1]) / 1024 for line in (_PROC / "meminfo").read_text().splitlines()}
    total, used = known["MemTotal"], known["MemTotal"] - known["MemAvailable"]
    with suppress(OSError, ValueError, KeyError):
        group = Path("/sys/fs/cgroup")
        limit = int((group / "memory.max").read_text()) / _MB
        if limit < total:
            state = dict(line.split() for line in (group / "memory.stat").read_text().splitlines())
            return int((group / "memory.current").read_text()) / _MB - int(state["inactive_file"]) / _MB, limit
    return used, total
