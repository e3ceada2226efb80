"""What the control groups of this process allow, and what became of their memory: versions 1 and 2 of Linux's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MB = 2**20


def cores_allowed(root: Path = Path("/")) -> float:
    """Processors' worth of time that the groups allow; infinity without a limit."""
    allowed = [float("inf")]
    for folder in _folders("cpu", root):
        quota, _, period = _text(folder / "cpu.max").partition(" ")  # "max 100000", "200000 100000"
        quota, period = quota or _text(folder / "cpu.cfs_quota_us"), period or _text(folder / "cpu.cfs_period_us")
        if quota.isdigit() and period.isdigit() and int(period):
            allowed.append(int(quota) / int(period))
    return min(allowed)


def memory_left_mb(root: Path = Path("/")) -> float:
    """What the groups leave of their memory, counting cached files as free; infinity without a limit."""
    left = [float("inf")]
    for folder in _folders("memory", root):
        limit = _text(folder / "memory.max") or _text(folder / "memory.limit_in_bytes")
        used = _text(folder / "memory.current") or _text(folder / "memory.usage_in_bytes")
        if limit.isdigit() and used.isdigit():
            counts = _counts(folder / "memory.stat")
            cached = counts.get("total_inactive_file", counts.get("inactive_file", 0))
            left.append((int(limit) - int(used) + cached) / _MB)
    return min(left)


def out_of_memory_kills(root: Path = Path("/")) -> int:
    """Processes of this group that the kernel has killed for want of memory; of the machine where no group counts them."""
    for folder in _folders("memory", root):
        for name in ("memory.events", "memory.oom_control"):
            counts = _counts(folder / name)
            if "oom_kill" in counts:
                return counts["oom_kill"]
    return _counts(root / "proc/vmstat").get("oom_kill", 0)


def _folders(controller: str, root: Path) -> Iterator[Path]:
    """The groups that this process is in, innermost first. In a container the names may be those of the host: passed over."""
    for line in _text(root / "proc/self/cgroup").splitlines():
        _, controllers, name = line.split(":", 2)
        mount = root / "sys/fs/cgroup"
        if controllers and controller not in controllers.split(","):
            continue
        if controllers:
            mount = next((mount / found for found in (controllers, controller) if (mount / found).is_dir()), mount / controller)
        inner = mount / name.lstrip("/")
        yield from (folder for folder in [inner, *inner.parents] if folder.is_relative_to(mount) and folder.is_dir())


def _text(path: Path) -> str:
    with suppress(OSError):
        return path.read_text().strip()
    return ""


def _counts(path: Path) -> dict[str, int]:
    """A file of lines "name number"."""
    pairs = (line.split() for line in _text(path).splitlines())
    return {pair[0]: int(pair[1]) for pair in pairs if len(pair) == 2 and pair[1].isdigit()}
