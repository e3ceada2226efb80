"""What this machine can give to trainings."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from ocr_sweep.sweep.running.cgroup import cores_allowed, memory_left_mb
from ocr_sweep.sweep.running.slots import Gpu, Machine

_ASKED = ("--query-gpu=memory.free", "--format=csv,noheader,nounits")


def this_machine() -> Machine:
    """Look at cores, memory and GPUs as they are now, while nothing of ours runs."""
    import torch  # two seconds, which who only starts trials need not wait for

    cores = max(1, int(min(len(os.sched_getaffinity(0)), cores_allowed())))
    return Machine("", cores, min(_memory_available_mb(), memory_left_mb()), visible_gpus(os.environ, torch.cuda.device_count()))


def visible_gpus(environ: Mapping[str, str], count: int) -> tuple[Gpu, ...]:
    """The GPUs that CUDA_VISIBLE_DEVICES leaves, by the names that it uses, or all of them.

    Args:
        count: how many CUDA sees.
    """
    named = [name.strip() for name in environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    free = _free_gpu_memory_mb() if count else []
    if not named:
        return tuple(Gpu(str(i), free[i] if i < len(free) else float("inf")) for i in range(count))
    least = min(free, default=float("inf"))  # their order is the user's, or CUDA's: count with the smallest
    return tuple(Gpu(name, least) for name in named[:count])


def _memory_available_mb() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    return float("inf")


def _free_gpu_memory_mb() -> list[float]:
    """Of each GPU, in the order of their buses; empty where nobody tells."""
    if shutil.which("nvidia-smi") is None:
        return []
    try:
        said = subprocess.run(["nvidia-smi", *_ASKED], capture_output=True, text=True, timeout=60, check=True).stdout
        return [float(line) for line in said.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
