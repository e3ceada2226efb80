"""Where a run comes from: code, libraries, machine, data. Two of them can be compared in words."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
from importlib import metadata
from pathlib import Path
from typing import Any

from ocr_sweep.store import CorpusView
from ocr_sweep.tracking.git import git, git_path

_LIBRARIES = (
    "mlflow", "optuna", "torch", "torchvision", "timm", "imaug", "numpy", "opencv-python", "opencv-python-headless",
    "pillow", "fonttools", "onnx", "onnxruntime", "onnxscript", "safetensors", "pydantic",
)  # fmt: skip
_RECIPE = ("augment", "export", "losses", "metrics", "models", "optim", "training")  # rooms
_VARIABLES = (
    "ATEN_CPU_CAPABILITY", "CUBLAS_WORKSPACE_CONFIG", "DNNL_MAX_CPU_ISA", "MKL_CBWR", "MKL_ENABLE_INSTRUCTIONS",
    "NVIDIA_TF32_OVERRIDE", "ONEDNN_MAX_CPU_ISA", "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE",
)  # fmt: skip  # by which a user changes how numbers are computed
_INSTRUCTIONS = ("avx", "avx2", "fma", "avx512f", "avx512_vnni", "avx512_bf16", "amx_tile", "asimd", "sve")
_CODE = ("ocr_sweep", "pyproject.toml", "constraints.txt")  # what a run is made by, in the repository
_MAX_PATCH = 4_000_000  # characters
PACKAGE = Path(__file__).parents[1]


def provenance(view: CorpusView, code: Path = PACKAGE) -> dict[str, Any]:
    """Describe this moment as plain data.

    Args:
        code: the folder of this package; its git state is recorded where there is one.
    """
    return {
        "code": {"sha256": code_sha256(code), **_git(code)},
        **surroundings(),
        "corpus": {"fingerprint": view.fingerprint, "inputs": view.manifest["inputs"], "images": view.manifest["sha256"]},
    }


def surroundings() -> dict[str, Any]:
    """Describe what a training runs in on this machine, as the part of its provenance that another machine has otherwise."""
    lock = installed()
    return {
        "libraries": {name: lock.get(name) for name in _LIBRARIES},
        "lock": lock,
        "environment": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
        "machine": {
            "python": platform.python_version(),
            "system": f"{platform.system()} {platform.release()}",
            "architecture": platform.machine(),
            "processor": _processor("model name") or platform.processor(),
            "instructions": " ".join(name for name in _INSTRUCTIONS if name in _processor("flags", "Features").split()),
            "gpus": _gpus(),
            "cores": os.cpu_count(),
        },
    }


def differences(then: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Name what differs between two provenances: what is likeliest to make a training another comes first.

    What one of the two does not tell, because another version recorded it, does not differ.
    """
    return [
        *_compared("data", then["corpus"]["inputs"], now["corpus"]["inputs"]),
        *_compared("data", {"corpus": then["corpus"]["fingerprint"]}, {"corpus": now["corpus"]["fingerprint"]}),
        *_compared("code", {"ocr_sweep": then["code"]["sha256"]}, {"ocr_sweep": now["code"]["sha256"]}),
        *_compared("library", then["libraries"], now["libraries"]),
        *_compared("environment", then.get("environment"), now.get("environment")),
        *_compared("machine", *_both_tell(then["machine"], now["machine"])),
        *_other_packages(then.get("lock"), now.get("lock")),
    ]


def _both_tell(then: dict[str, Any], now: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    both = then.keys() & now.keys()
    return {name: then[name] for name in both}, {name: now[name] for name in both}


def _compared(kind: str, then: dict[str, Any] | None, now: dict[str, Any] | None) -> list[str]:
    if then is None or now is None:
        return []
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name)]
    return [f"{kind}: {name} was {_short(then.get(name))}, is {_short(now.get(name))}" for name in names]


def _other_packages(then: dict[str, str] | None, now: dict[str, str] | None) -> list[str]:
    """Packages that no training calls by itself, in one line."""
    if then is None or now is None:
        return []
    names = [name for name in sorted({*then, *now}) if then.get(name) != now.get(name) and name not in _LIBRARIES]
    said = [f"{name} was {_short(then.get(name))}, is {_short(now.get(name))}" for name in names[:3]]
    more = [f"and {len(names) - len(said)} more"] if len(names) > len(said) else []
    return [f"other packages: {', '.join([*said, *more])}"] if names else []


def _short(value: Any) -> str:
    text = "missing" if value is None else str(value)
    return f"{text[:12]}…" if len(text) == 64 else text


def code_sha256(package: Path = PACKAGE) -> str:
    """The hash of every source file of this package, by name."""
    return _hash_of_sources(package, "**/*.py")


def recipe_sha256() -> str:
    """The hash of every source file that decides what a trial learns and how it is measured."""
    return _hash_of_sources(PACKAGE, "store.py", *(f"{room}/**/*.py" for room in _RECIPE))


def _hash_of_sources(package: Path, *patterns: str) -> str:
    digest = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in package.glob(pattern)}):
        digest.update(f"{path.relative_to(package).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def installed() -> dict[str, str]:
    """The version of every installed distribution but this one, by its normalised name; of several, that which is imported."""
    found: dict[str, str] = {}
    for one in metadata.distributions():  # in the order of the path
        found.setdefault(re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(), one.version)
    return {name: version for name, version in sorted(found.items()) if name != "ocr-sweep"}


def _git(package: Path) -> dict[str, Any]:
    """The commit that the package lies in, and what has been changed and added since, as one patch."""
    nothing = {"commit": None, "patch": None}
    repository = package.parent
    if git(repository, "ls-files", "--error-unmatch", f"{package.name}/__init__.py") is None:
        return nothing
    commit = git(repository, "rev-parse", "HEAD")
    patch = None if commit is None else _patch(repository)
    if commit is None or patch is None:
        return nothing
    return {"commit": commit.strip(), "patch": patch if len(patch) <= _MAX_PATCH else None}


def _patch(repository: Path) -> str | None:
    """What differs from the last commit, untracked files too. It is made in an index of its own: the user's stays as it is."""
    objects = git_path(repository, "objects")
    if objects is None:
        return None
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        aside = {
            "GIT_INDEX_FILE": f"{folder}/index",
            "GIT_OBJECT_DIRECTORY": folder,
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(objects),
        }
        if git(repository, "read-tree", "HEAD", environment=aside) is None:
            return None
        there = [name for name in _CODE if (repository / name).exists()]
        if git(repository, "add", "--all", "--", *there, environment=aside) is None:
            return None
        return git(repository, "diff", "--cached", "--binary", "--no-color", "--no-ext-diff", "HEAD", environment=aside)


def _processor(*keys: str) -> str:
    """What the first processor says of itself under the first of these keys that it has."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() in keys), "")


def _gpus() -> list[str]:
    """The models of NVIDIA's cards and their driver, as the kernel's module tells them; empty where there is none."""
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")) if Path("/proc/driver/nvidia").exists() else []
    models = [line.partition(":")[2].strip() for card in cards for line in card.read_text().splitlines() if "Model" in line]
    try:
        driver = re.search(r"\d+\.\d+(\.\d+)?", Path("/proc/driver/nvidia/version").read_text())
    except OSError:
        return models
    return [f"{model}, driver {driver.group() if driver else 'unknown'}" for model in models]
