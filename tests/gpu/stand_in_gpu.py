"""A pytest plugin that gives torch a stand-in for a GPU (see `stand_in.cpp`): `PYTHONPATH=tests/gpu pytest -p stand_in_gpu`.

It must be loaded before torch, which asks only once what devices there are. A breach of the device's rules in a test fails
that test.
"""

from __future__ import annotations

import ctypes
import hashlib
import importlib.util
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import pytest

SOURCE = Path(__file__).with_name("stand_in.cpp")
TOTAL = 16 << 30  # bytes


def load() -> None:
    """Compile the stand-in, once for each version of it and of torch, and load it with torch's own libraries."""
    spec = importlib.util.find_spec("torch")
    assert spec is not None and spec.submodule_search_locations
    torch = Path(spec.submodule_search_locations[0])
    key = hashlib.sha256(SOURCE.read_bytes() + (torch / "version.py").read_bytes()).hexdigest()[:16]
    built = SOURCE.parent / "__pycache__" / f"stand_in-{key}.so"
    if not built.exists():
        built.parent.mkdir(exist_ok=True)
        for former in built.parent.glob("stand_in-*.so"):
            former.unlink()
        _compile(torch, built)
    for library in ("libtorch_global_deps.so", "libc10.so", "libtorch_cpu.so"):
        ctypes.CDLL(str(torch / "lib" / library), mode=ctypes.RTLD_GLOBAL)
    ctypes.CDLL(str(built), mode=ctypes.RTLD_GLOBAL)


def _compile(torch: Path, built: Path) -> None:
    include, lib = torch / "include", torch / "lib"
    with tempfile.TemporaryDirectory(dir=built.parent) as folder:
        out = Path(folder) / built.name
        flags = ["-shared", "-fPIC", "-O1", "-w", "-std=c++20", f"-I{include}", f"-I{include}/torch/csrc/api/include"]
        command = ["g++", *flags, str(SOURCE), "-o", str(out), f"-L{lib}", "-ltorch_cpu", "-lc10"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        out.rename(built)


load()

import torch  # noqa: E402  # it asks only once what devices there are, and must find the stand-in loaded


class _Stream(torch.Stream):
    def __new__(cls, *_: object, **__: object) -> Any:
        return super().__new__(cls, device="cuda")


class _Event(torch.Event):
    def __new__(cls, *_: object, **__: object) -> Any:
        return super().__new__(cls, device="cuda")


def _storage_to(self: Any, device: torch.device, non_blocking: bool = False) -> Any:
    moved = torch.empty(0, dtype=torch.uint8, device=self.device).set_(self).to(device, non_blocking=non_blocking)
    return moved.untyped_storage()


def _storage_clone(self: Any) -> Any:
    return torch.empty(0, dtype=torch.uint8, device=self.device).set_(self).clone().untyped_storage()


def _answer_for_cuda() -> None:
    """Put answers in the place of those functions of torch.cuda that a torch without CUDA does not have."""
    answers: dict[str, Any] = {
        "_lazy_init": lambda: None,
        "_exchange_device": lambda _: 0,
        "_maybe_exchange_device": lambda _: 0,
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: 1,
        "current_device": lambda: 0,
        "set_device": lambda _: None,
        "get_device_name": lambda _=None: "stand-in GPU",
        "get_device_capability": lambda _=None: (8, 0),
        "is_bf16_supported": lambda *_: True,
        "mem_get_info": lambda _=None: (TOTAL - torch.ops.stand_in.in_use(), TOTAL),
        "memory_allocated": lambda _=None: torch.ops.stand_in.in_use(),
        "max_memory_allocated": lambda _=None: torch.ops.stand_in.peak(),
        "reset_peak_memory_stats": lambda _=None: torch.ops.stand_in.forget_peak(),
        "set_per_process_memory_fraction": lambda part, _=None: torch.ops.stand_in.limit(int(part * TOTAL)),
        "set_sync_debug_mode": lambda mode: torch.ops.stand_in.refuse_waits(mode == "error"),
        "get_rng_state": lambda _=None: torch.get_rng_state(),
        "set_rng_state": lambda state, _=None: torch.set_rng_state(state),
        "manual_seed": lambda _: None,
        "manual_seed_all": lambda _: None,
        "Stream": _Stream,
        "Event": _Event,
        "stream": lambda stream: stream,
        "current_stream": lambda _=None: torch.accelerator.current_stream(),
        "synchronize": lambda _=None: torch.accelerator.synchronize(),
    }
    for name, answer in answers.items():
        setattr(torch.cuda, name, answer)
    torch.storage._to = _storage_to
    torch.UntypedStorage.clone = _storage_clone


_answer_for_cuda()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Any:
    """Fail a test in which streams got into each other's way."""
    torch.ops.stand_in.breaches()
    result = yield
    found = torch.ops.stand_in.breaches()
    assert not found, "; ".join(found)
    return result
