"""What a machine would run: compared between the driver and its nodes, because a study has one program.

Nothing of the package is imported here before it is asked for: the driver sends this file as it is, to nodes whose package
may be another one, or none.
"""

from __future__ import annotations

import platform
import shutil
import subprocess
from importlib import metadata
from typing import Any

_LIBRARIES = (
    "ray", "torch", "torchvision", "timm", "imaug", "numpy", "opencv-python-headless", "pillow", "onnx", "onnxruntime",
    "safetensors",
)  # fmt: skip


def node_facts() -> dict[str, Any]:
    """What a node tells of itself."""
    return {"versions": versions(), "gpu_memory_mb": _free_gpu_memory_mb()}


def versions() -> dict[str, str]:
    """The code of this package, Python, and the libraries that a trial's numbers hang on."""
    return {"code": _code(), "Python": platform.python_version(), **{name: _version(name) for name in _LIBRARIES}}


def differences(here: dict[str, str], there: dict[str, str]) -> list[str]:
    """Name what differs, as "torch is 2.9.0 there and 2.13.0 here"."""
    pairs = [(name, there.get(name, "missing"), value) for name, value in here.items()]
    return [f"{name} is {theirs[:12]} there and {ours[:12]} here" for name, theirs, ours in pairs if theirs != ours]


def refusal(node: str, differ: list[str]) -> str:
    """Why a node gets nothing to do."""
    return (
        f"every machine of a study must run the same program, but node {node} differs from this one: {'; '.join(differ)}; "
        "install the same commit with the same constraints.txt there, and start its Ray again"
    )


def _code() -> str:
    try:
        from ocr_sweep.tracking.provenance import code_sha256
    except ImportError:
        return "missing"
    return code_sha256()


def _version(name: str) -> str:
    try:
        return metadata.version(name).partition("+")[0]  # built for CUDA or not is each machine's business
    except metadata.PackageNotFoundError:
        return "missing"


def _free_gpu_memory_mb() -> list[float]:
    """Of each GPU; empty where nobody tells."""
    command = ["nvidia-smi", "--query-gpu=memory.free", "--format=csv,noheader,nounits"]
    if shutil.which(command[0]) is None:
        return []
    try:
        said = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True).stdout
        return [float(line) for line in said.splitlines() if line.strip()]
    except (OSError, subprocess.SubprocessError, ValueError):
        return []
