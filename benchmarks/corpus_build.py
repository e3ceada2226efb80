"""A corpus at full scale: 17,380 classes x 20 rendered images on two workers. Time, memory, disk, and going on after a kill.

Builds once undisturbed. Then builds again elsewhere, kills every process of it with SIGKILL when half of the images are
written, builds to the end, and compares the bytes. Memory is the sum over all processes of the build of what is theirs
alone or shared between them by fork (anonymous pages), interpreters and libraries included.

    nice .venv/bin/python benchmarks/corpus_build.py --fonts FONT [FONT ...] [--classes 17380] [--images 20]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw

from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.config.fingerprint import file_sha256

MEMORY_LIMIT = 2.0  # GB above the interpreter
FIRST = 0x4E00  # the classes are the code points from here
SCANS = {"name": "scans", "path": "scans", "split": {"train": 0.0, "val": 0.5, "test": 0.5}, "group": None, "max_bad": 0.0}
CHILD = """
import sys, time, json
from functools import partial
from pathlib import Path
from ocr_sweep.config.corpus import CorpusConfig
from ocr_sweep.corpus import build_corpus, plan_corpus
from ocr_sweep.corpus.jobs import make_batches
folder, corpora = Path(sys.argv[1]), Path(sys.argv[2])
recipe = CorpusConfig.model_validate_json((folder / "recipe.json").read_text())
began = time.perf_counter()
plan_corpus(recipe, data_root=folder, cache=folder / "cache")
planned = time.perf_counter()
make = partial(make_batches, workers=2)
view = build_corpus(recipe, data_root=folder, corpora=corpora, cache=folder / "cache", make=make, progress=lambda *_: None)
print(json.dumps([planned - began, time.perf_counter() - planned, len(view.images), view.num_classes]))
"""


def main() -> int:
    """Measure, print one JSON line, and fail when the memory or the bytes are wrong."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--fonts", nargs="+", type=Path, required=True)
    parser.add_argument("--classes", type=int, default=17_380)
    parser.add_argument("--images", type=int, default=20)
    parser.add_argument("--folder", type=Path, help="where to build; default: a temporary folder")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=args.folder) as name:
        folder = Path(name)
        _draw_scans(folder / "scans" / chr(FIRST))
        recipe = _recipe(args.fonts, args.classes, args.images)
        (folder / "recipe.json").write_text(recipe.model_dump_json())
        load = os.getloadavg()[0]
        (plan_seconds, build_seconds, images, classes), memory = _build(folder, folder / "one")
        disk = sum(path.stat().st_size for path in (folder / "one").rglob("*") if path.is_file())
        half = images * recipe.image_size**2 // 2
        _, _ = _build(folder, folder / "two", stop=lambda: _written(folder / "two") >= half)
        (_, resume_seconds, *_), _ = _build(folder, folder / "two")
        same = _hashes(folder / "one") == _hashes(folder / "two")
        shutil.rmtree(folder / "one")
    interpreter = _interpreter()
    result = {
        "classes": classes,
        "images": images,
        "coverage_seconds_first_time": round(plan_seconds, 1),
        "build_seconds": round(build_seconds, 1),
        "images_per_second": round(images / build_seconds),
        "seconds_after_a_kill_at_half": round(resume_seconds, 1),
        "same_bytes_after_the_kill": same,
        "peak_memory_gb": round(memory, 2),
        "interpreter_gb": round(interpreter, 2),
        "memory_limit_gb_above_the_interpreter": MEMORY_LIMIT,
        "disk_gb": round(disk / 1e9, 2),
        "cores": os.cpu_count(),
        "load_before": round(load, 1),
    }
    print(json.dumps(result))  # noqa: T201
    return 0 if same and memory - interpreter <= MEMORY_LIMIT else 1


def _recipe(fonts: list[Path], classes: int, images: int) -> CorpusConfig:
    return CorpusConfig.model_validate(
        {
            "name": "large",
            "seed": 0,
            "image_size": 64,
            "charset": {"chars": "".join(chr(FIRST + i) for i in range(classes))},
            "rendered": {"fonts": [str(font.resolve()) for font in fonts], "max_faces": 1000, "faces_per_class": images},
            "scanned": [SCANS],
            "scanned_per_class": 0,
            "simulated": [],
        }
    )


def _draw_scans(folder: Path) -> None:
    """A few pictures to judge by, because a corpus must have some; what is measured is rendering."""
    folder.mkdir(parents=True)
    for number in range(20):
        picture = Image.new("L", (64, 64), 230)
        ImageDraw.Draw(picture).line((8, 30, 56, 34 + number), fill=20, width=5)
        picture.save(folder / f"{number}.png")


def _build(folder: Path, corpora: Path, stop: Callable[[], bool] = lambda: False) -> tuple[list[float], float]:
    """Build in a process of its own; return its times and peak memory in GB. It is killed as soon as `stop` says so."""
    corpora.mkdir(exist_ok=True)
    command = [sys.executable, "-c", CHILD, str(folder), str(corpora)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
    peak = 0.0
    while process.poll() is None:
        peak = max(peak, _memory(process.pid))
        if stop():
            os.killpg(process.pid, signal.SIGKILL)  # a session of its own: the build and its workers
            process.wait()
            return [], peak
        time.sleep(0.1)
    assert process.returncode == 0 and process.stdout is not None
    return json.loads(process.stdout.read()), peak


def _memory(session: int) -> float:
    """GB of anonymous pages of all processes of a session."""
    total = 0
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            if os.getsid(int(status.parent.name)) == session:
                lines = dict(line.split(":", 1) for line in status.read_text().splitlines() if ":" in line)
                total += int(lines.get("RssAnon", "0 kB").split()[0])
        except (OSError, ValueError):
            continue  # it has just ended
    return total / 1e6


def _interpreter() -> float:
    """GB of anonymous pages of one process that has imported what a build needs."""
    code = (
        "import ocr_sweep.corpus\n"
        "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('RssAnon')))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return int(done.stdout) / 1e6


def _written(corpora: Path) -> int:
    return sum(path.stat().st_size for path in corpora.glob(".*.tmp/images.npy"))


def _hashes(corpora: Path) -> dict[str, str]:
    (store,) = (path for path in corpora.iterdir() if path.is_dir())
    return {path.name: file_sha256(path) for path in store.iterdir()}


if __name__ == "__main__":
    sys.exit(main())
