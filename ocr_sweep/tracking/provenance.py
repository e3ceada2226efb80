"""Where a run comes from: code, libraries, machine, data. Two of them can be compared in words."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from ocr_sweep.store import CorpusView

_LIBRARIES = (
    "mlflow", "optuna", "torch", "torchvision", "timm", "imaug", "numpy", "opencv-python", "opencv-python-headless",
    "pillow", "fonttools", "onnx", "onnxruntime", "safetensors", "pydantic",
)  # fmt: skip


def provenance(root: Path, view: CorpusView) -> dict[str, Any]:
    """Describe this moment as plain data.

    Args:
        root: the project's root; its git state is recorded where there is one.
    """
    return {
        "code": {"sha256": code_sha256(), **_git(root)},
        "libraries": {name: _version(name) for name in _LIBRARIES},
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "processor": _processor(),
            "cores": os.cpu_count(),
        },
        "corpus": {"fingerprint": view.fingerprint, "inputs": view.manifest["inputs"], "images": view.manifest["sha256"]},
    }


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name what differs between two provenances, data first."""
    pairs = [
        *_compared("data", then["corpus"]["inputs"], now["corpus"]["inputs"]),
        *_compared("data", {"corpus": then["corpus"]["fingerprint"]}, {"corpus": now["corpus"]["fingerprint"]}),
        *_compared("code", {"ocr_sweep": then["code"]["sha256"]}, {"ocr_sweep": now["code"]["sha256"]}),
        *_compared("library", then["libraries"], now["libraries"]),
        *_compared("machine", then["machine"], now["machine"]),
    ]
    return pairs


def _compared(kind: str, then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return [f"{kind}: {name} was {_short(then.get(name))}, is {_short(now.get(name))}" for name in names]


def _short(value: Any) -> str:
    text = "missing" if value is None else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text


def code_sha256() -> str:
    """The hash of every source file of this package, by name."""
    package = Path(__file__).parents[1]
    digest = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def _git(root: Path) -> dict[str, Any]:
    commit = _git_output(root, "rev-parse", "HEAD")
    if commit is None:
        return {"commit": None, "patch": None, "untracked": []}
    untracked = (_git_output(root, "ls-files", "--others", "--exclude-standard") or "").splitlines()
    return {"commit": commit.strip(), "patch": _git_output(root, "diff", "HEAD") or "", "untracked": untracked}


def _git_output(root: Path, *arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(root), *arguments], capture_output=True, text=True, errors="replace", timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())
