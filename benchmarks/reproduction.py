"""Whether a past run comes back, and whether what was changed since is named.

- `identical`: ten finished trainings of the small test study are trained again, each from its run ID alone. All must be
  `identical`.
- `changes`: ten things are changed, one at a time, each in a copy of the project or of the program: a font, a library's
  version, a compiled library's instructions, a line of code, the seed, a setting that records and hashes were made to agree
  with, a byte of the losses, the provenance, the corpus's images, the charset. Each must be named by what
  `runs reproduce --steps` says.

    .venv/bin/python benchmarks/reproduction.py identical changes
"""

from __future__ import annotations

import argparse
import contextlib
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

import tiny_study  # type: ignore[import-not-found]  # noqa: E402

TRIALS = 8  # and two confirming trainings

WANTED: dict[str, str] = {
    "font": "data: ",
    "library": "library: numpy was",
    "instructions": "environment: ATEN_CPU_CAPABILITY was missing, is default",
    "code": "code: ocr_sweep was",
    "seed": "seed is 18 in the file and 17 in the database",
    "setting": "optim.weight_decay is 0.3 in the file and 0.02 in the database",
    "losses": "losses.npy of run",
    "provenance": "provenance.json of run",
    "images": "must have sha256",
    "charset": "config.yaml",
}


def main() -> int:
    """Run the parts, print one JSON line, and fail when one missed something."""
    parser = argparse.ArgumentParser()
    parser.add_argument("parts", nargs="+", choices=("identical", "changes"))
    parts = parser.parse_args().parts
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        root = tiny_study.new_project(scratch / "project", scratch, trials=TRIALS)
        done = tiny_study.ocr_sweep(root, "sweep", "run", "tiny", timeout=1200)
        assert done.code == 0, done.err
        if "identical" in parts:
            found["identical"] = identical(root)
        if "changes" in parts:
            found["changes"] = changes(root, scratch)
    failed = found.get("identical", {}).get("others", []) or found.get("changes", {}).get("missed", [])
    print(json.dumps(found))  # noqa: T201
    return 1 if failed else 0


def runs(root: Path) -> dict[str, str]:
    """Run IDs of the trainings, by name."""
    with contextlib.closing(sqlite3.connect(root / "mlruns" / "mlflow.db")) as database:
        rows = database.execute(
            "SELECT runs.name, runs.run_uuid FROM runs JOIN tags ON tags.run_uuid = runs.run_uuid "
            "WHERE tags.key = 'ocr_sweep.role' AND tags.value IN ('search', 'confirm')"
        ).fetchall()
    return dict(rows)


def identical(root: Path) -> dict[str, Any]:
    """Train all again."""
    verdicts, began = {}, time.perf_counter()
    for name, run in runs(root).items():
        done = tiny_study.ocr_sweep(root, "runs", "reproduce", run, timeout=600)
        verdicts[name] = (
            "identical" if done.code == 0 and "identical: the losses of all" in " ".join(done.out.split()) else done.err
        )
    others = [f"{name}: {said}" for name, said in verdicts.items() if said != "identical"]
    seconds = round((time.perf_counter() - began) / len(verdicts), 1)
    return {"trainings": len(verdicts), "identical": len(verdicts) - len(others), "others": others, "seconds_each": seconds}


def changes(root: Path, scratch: Path) -> dict[str, Any]:
    """Change one thing after the other."""
    run, missed, steps = runs(root)["tiny-0001"], [], {}
    for number, (name, wanted) in enumerate(WANTED.items()):
        copy = tiny_study.copy_project(root, scratch / f"copy{number}")
        settings = _CHANGES[name](copy, run)
        done = tiny_study.ocr_sweep(copy, "runs", "reproduce", run, "--steps", "64", timeout=600, **settings)
        said = " ".join((done.out + done.err).split())
        if wanted not in said or "Traceback" in said:
            missed.append(f"{name}: {said}")
        if "diverged at step " in said:
            steps[name] = int(said.partition("diverged at step ")[2].split()[0])
        shutil.rmtree(copy)
    return {"changes": len(WANTED), "named": len(WANTED) - len(missed), "missed": missed, "diverged_at_step": steps}


def _artifact(root: Path, run: str, name: str) -> Path:
    return root / "mlruns" / "artifacts" / "tiny" / run / "artifacts" / name


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    assert old in text, (path, old)
    path.write_text(text.replace(old, new), encoding="utf-8")


def _font(root: Path, run: str) -> dict[str, str]:
    font = root / "data" / "fonts" / "a.ttf"
    content = font.read_bytes()
    font.unlink()
    font.write_bytes(content + b"\0" * 16)
    return {}


def _provenance(root: Path, run: str) -> dict[str, str]:
    _replace(_artifact(root, run, "provenance.json"), '"cores": ', '"cores": 1')
    return {}


def _library(root: Path, run: str) -> dict[str, str]:
    """Another version, as its metadata tells it."""
    info = root / "planted" / "numpy-0.1.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: numpy\nVersion: 0.1\n")
    return {"PYTHONPATH": f"{root / 'planted'}:{ROOT}"}


def _instructions(root: Path, run: str) -> dict[str, str]:
    return {"ATEN_CPU_CAPABILITY": "default"}


def _code(root: Path, run: str) -> dict[str, str]:
    shutil.copytree(ROOT / "ocr_sweep", root / "program" / "ocr_sweep", ignore=shutil.ignore_patterns("__pycache__"))
    _replace(root / "program" / "ocr_sweep" / "optim" / "schedules.py", "math.pi", "3.1415")
    return {"PYTHONPATH": str(root / "program")}


def _seed(root: Path, run: str) -> dict[str, str]:
    _replace(_artifact(root, run, "config.yaml"), "\nseed: 17", "\nseed: 18")
    return {}


def _setting(root: Path, run: str) -> dict[str, str]:
    """The manifest agrees with it; the database alone knows better."""
    from ocr_sweep.config.fingerprint import file_sha256

    config, manifest = (_artifact(root, run, name) for name in ("config.yaml", "manifest.json"))
    before = file_sha256(config)
    _replace(config, "weight_decay: 0.02", "weight_decay: 0.3")
    _replace(manifest, before, file_sha256(config))
    return {}


def _losses(root: Path, run: str) -> dict[str, str]:
    losses = _artifact(root, run, "losses.npy")
    content = bytearray(losses.read_bytes())
    content[-1] ^= 1
    losses.write_bytes(content)
    return {}


def _images(root: Path, run: str) -> dict[str, str]:
    (images,) = (root / "mlruns" / "corpora").glob("*/images.npy")
    content = bytearray(images.read_bytes())
    content[-1] ^= 255
    images.write_bytes(content)
    return {}


def _charset(root: Path, run: str) -> dict[str, str]:
    _replace(_artifact(root, run, "config.yaml"), "天地", "地天")
    return {}


_CHANGES: dict[str, Callable[[Path, str], dict[str, str]]] = {
    "font": _font,
    "library": _library,
    "instructions": _instructions,
    "code": _code,
    "seed": _seed,
    "setting": _setting,
    "losses": _losses,
    "provenance": _provenance,
    "images": _images,
    "charset": _charset,
}


if __name__ == "__main__":
    sys.exit(main())
