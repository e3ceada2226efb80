"""A tiny project that a whole study runs through in seconds, and the program run over it as a user would."""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib.util
import io
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import yaml
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache
from PIL import Image

from ocr_sweep.cli.app import _run
from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.config.study import StudyConfig
from ocr_sweep.sweep.stored.corpora import open_corpus
from ocr_sweep.tracking.mlflow_client import connect

CHARS = "天地玄黄日月一口國書"
PROGRAM = [sys.executable, "-m", "ocr_sweep"]
_SETTINGS = (
    "OCR_SWEEP_KEY",
    "OCR_SWEEP_HOME",
    "OCR_SWEEP_DATA",
    "OCR_SWEEP_OPTUNA_URL",
    "OCR_SWEEP_DEBUG",
    "MLFLOW_TRACKING_URI",
)

STUDY: dict[str, Any] = {
    "name": "tiny",
    "question": "Does smoothing help the tiny network?",
    "base": {
        "corpus": {
            "name": "tiny",
            "seed": 3,
            "image_size": 16,
            "charset": {"chars": CHARS},
            "rendered": {"fonts": ["fonts/*.ttf"], "max_faces": 2},
            "scanned": [],
            "scanned_per_class": 50,
            "simulated": [
                {"name": "simulated", "val_per_class": 3, "test_per_class": 3, "wear": 0.3},
                {"name": "simulated_worn", "val_per_class": 0, "test_per_class": 2, "wear": 0.6},
            ],
        },
        "seed": 17,
        "image_size": 16,
        "model": {
            "kind": "unet",
            "base_channels": 4,
            "depth": 2,
            "dropout": 0.0,
            "decoder": False,
            "reconstruction_weight": 0.0,
        },
        "augment": {"rendered": {"strength": 0.1}, "scanned": {"strength": 0.1}},
        "loss": {"kind": "cross_entropy", "label_smoothing": 0.1},
        "optim": {
            "lr": 0.01,
            "weight_decay": 0.02,
            "warmup": 0.1,
            "clip_norm": 5.0,
            "handover_at": 0.8,
            "handover_patience": 0,
            "handover_rate": "matched",
            "handover_kappa": 10.0,
            "sgd_momentum": 0.9,
        },
        "training": {"epochs": 2, "batch_size": 8, "images_per_epoch": 256, "sampling": "instance", "threads": 1},
    },
    "metric": "val/accuracy_macro",
    "direction": "maximize",
    "trials": 3,
    "workers": 1,
    "confirm": {"top": 1, "seeds": 1},
    "sampler": {"kind": "tpe", "seed": 17, "startup_trials": 2},
    "pruner": {"kind": "none"},
    "search": {
        "loss.label_smoothing": {"type": "float", "low": 0.0, "high": 0.2},
        "optim.handover_at": {"type": "float", "low": 0.5, "high": 1.0},
    },
}


def study_data(**changes: Any) -> dict[str, Any]:
    """The tiny study as plain data; keywords are dotted paths with `__` for dots, put in place."""
    data = copy.deepcopy(STUDY)
    for path, value in changes.items():
        *parents, last = path.split("__")
        block = data
        for key in parents:
            block = block[key]
        block[last] = value
    return data


def ipaex() -> Path:
    """The font that comes with the installed packages."""
    spec = importlib.util.find_spec("matplotlib_fontja")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(next(iter(spec.submodule_search_locations))) / "fonts" / "ipaexg.ttf"


def write_study(root: Path, **changes: Any) -> Path:
    """Write the tiny study, changed, into the project's sweeps/."""
    data = study_data(**changes)
    path = root / "sweeps" / f"{data['name']}.yaml"
    path.write_text(yaml.safe_dump(data, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return path


def draw_book(root: Path, chars: str = CHARS, each: int = 8) -> None:
    """Draw scans of a source `book` under the project's data root."""
    rng = np.random.default_rng(0)
    for char in chars:
        folder = root / "data" / "book" / char
        folder.mkdir(parents=True)
        for number in range(each):
            image = np.full((32, 32), 230, np.uint8)
            image[8:24, 8:24] = rng.integers(0, 120, (16, 16))
            Image.fromarray(image).save(folder / f"{number}.png")


def new_project(root: Path, base: Path, *, corpus: bool = True, **changes: Any) -> Path:
    """Make a project with one font, the tiny study, and an empty tracking database that has its tables.

    Args:
        base: where the template is kept for the whole test session.
        corpus: whether the tiny corpus is there already.
    """
    left_out = () if corpus else ("corpora", "cache")
    shutil.copytree(template(base) / "mlruns", root / "mlruns", ignore=shutil.ignore_patterns(*left_out))
    _lay_out(root, **changes)
    return root


def _lay_out(root: Path, **changes: Any) -> None:
    (root / "sweeps").mkdir(parents=True)
    (root / "data" / "fonts").mkdir(parents=True)
    (root / "data" / "fonts" / "a.ttf").symlink_to(ipaex())
    write_study(root, **changes)


@functools.cache
def template(base: Path) -> Path:
    """A project with what takes seconds to make: MLflow's tables, and the tiny corpus."""
    root = base / "template"
    _lay_out(root)
    connect(paths_of(root))
    open_corpus(config_of(root).base.corpus, paths_of(root), lambda what, done, total: None)
    return root


@functools.cache
def finished_project(base: Path) -> Path:
    """A project whose study is finished; nobody may change it (see `copy_project`)."""
    root = new_project(base / "finished", base, corpus=False)
    done = ocr_sweep(root, "sweep", "run", "tiny")
    assert done.code == 0, done.err
    (root / "first_output.txt").write_text(done.out, encoding="utf-8")
    return root


def copy_project(source: Path, target: Path) -> Path:
    """A copy that may be damaged; MLflow keeps absolute places, which are re-pointed."""
    shutil.copytree(source, target, symlinks=True)
    with contextlib.closing(sqlite3.connect(target / "mlruns" / "mlflow.db")) as database, database:
        for table, column in (
            ("experiments", "artifact_location"),
            ("runs", "artifact_uri"),
            ("model_versions", "source"),
            ("model_versions", "storage_location"),
        ):
            database.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(source), str(target)))
    _artifact_repos_cache.clear()  # of this process: by run, and the copy has the same runs at another place
    return target


def paths_of(root: Path) -> Paths:
    """The paths of a project, whatever the environment of the tests says."""
    return Paths.find({"OCR_SWEEP_HOME": str(root), "OCR_SWEEP_KEY": str(root / "signing.key")})


def config_of(root: Path, name: str = "tiny") -> StudyConfig:
    """A study as the program reads it."""
    return load_study(root / "sweeps" / f"{name}.yaml", root / "sweeps")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    code: int
    out: str
    err: str


def environment(root: Path, **settings: str) -> dict[str, str]:
    """The environment of a user who has set only these."""
    kept = {key: value for key, value in os.environ.items() if key not in _SETTINGS}
    ours = {"OCR_SWEEP_HOME": str(root), "OCR_SWEEP_KEY": str(root / "signing.key"), "COLUMNS": "200"}
    return {**kept, **ours, **settings}


def ocr_sweep(root: Path, *arguments: str, timeout: float = 180, **settings: str) -> Done:
    """Run the program in a process of its own."""
    done = subprocess.run(
        [*PROGRAM, *arguments], cwd=root, env=environment(root, **settings), capture_output=True, text=True, timeout=timeout
    )
    return Done(done.returncode, done.stdout, done.stderr)


def here(root: Path, *arguments: str, **settings: str) -> Done:
    """Run the program within this process: the same way in, without the seconds of imports."""
    out, err = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, environment(root, **settings), clear=True),
        mock.patch.object(sys, "argv", ["ocr-sweep", *arguments]),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
    ):
        code = _run()
    return Done(code, out.getvalue(), err.getvalue())


def refused(done: Done, code: int, *words: str) -> None:
    """Assert that a command ended with this code and one clear sentence that holds all the words."""
    assert done.code == code, (done.code, done.err, done.out)
    assert "Traceback" not in done.err + done.out
    assert done.err.startswith("error: ") and done.err.count("\n") == 1, done.err
    for word in words:
        assert word in done.err, (word, done.err)


@contextlib.contextmanager
def started(root: Path, *arguments: str, **settings: str) -> Iterator[subprocess.Popen[str]]:
    """Start the program in a process group of its own, so that nothing of it can stay behind a test."""
    process = subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=root,
        env=environment(root, **settings),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def free_port() -> int:
    """A port of the loopback address that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """Wait until a condition holds, and return what it gave."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s for {what}")


def processes_of(group: int) -> list[int]:
    """The living processes of a session."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == group and fields[0] != "Z":  # the session's id
                    found.append(int(entry.name))
    return found
