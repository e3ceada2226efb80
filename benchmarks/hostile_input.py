"""Mutated pictures and models, given to `ocr-sweep recognize`, and mutated configurations: the command ends, and in words.

1,000 pictures (a quarter each of PNG, JPEG, WebP and BMP), 1,000 ONNX files, and 1,000 configurations (a study, the files that
it is made of, a recipe's charset, a gate), which `ocr-sweep sweep check` reads: flipped bits, overwritten runs, cuts, doublings,
damage to the head; of configurations also lines that change places and values that take each other's. Fails when one ends with
another code than 0 (one that still means something), 2 or 3, prints a traceback, or takes more than ten seconds of processor
time. Prints one JSON line for each kind.

    .venv/bin/python benchmarks/hostile_input.py [--mutants 1000]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any
from unittest import mock

import cv2
import numpy as np
import torch

from ocr_sweep.cli import recognize
from ocr_sweep.cli.app import _run
from ocr_sweep.config.model import UNetConfig
from ocr_sweep.delivery import Recogniser
from ocr_sweep.export.onnx_file import describe_onnx, export_onnx
from ocr_sweep.models import build_model

SECONDS = 10  # of processor time, after which a mutant has hung: the process is ended and nothing is printed


def mutants(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """Flipped bits, overwritten runs, cuts, doublings, and damage to the head."""
    rng = np.random.default_rng(seed)
    for number in range(count):
        changed = bytearray(content)
        places = rng.integers(0, len(content), rng.integers(1, 9)).tolist()
        match number % 5:
            case 0:
                for place in places:
                    changed[place] ^= 1 << int(rng.integers(8))
            case 1:
                changed[places[0] : places[0] + 16] = rng.bytes(16)
            case 2:
                del changed[places[0] :]
            case 3:
                changed[places[0] : places[0]] = changed[places[0] : places[0] + 200]
            case 4:
                changed[int(rng.integers(64))] = int(rng.integers(256))
        if changed != content:
            yield bytes(changed)


def reworded(content: bytes, count: int, seed: int) -> Iterator[bytes]:
    """What people do to a file: lines that change places, values that take each other's, words that are no value."""
    rng = np.random.default_rng(seed)
    lines = content.decode().splitlines(keepends=True)
    values = ["null", "-1", "1e400", ".nan", "[]", "{}", "''", "yes", "9" * 40, "*x", "!!python/none x", "草"]
    values += [line.partition(": ")[2].strip() for line in lines if ": " in line]
    for _ in range(count):
        changed = list(lines)
        a, b = (int(i) for i in rng.integers(0, len(lines), 2))
        if rng.random() < 0.3:
            changed[a], changed[b] = changed[b], changed[a]
        elif ": " in changed[a]:
            changed[a] = f"{changed[a].partition(': ')[0]}: {values[int(rng.integers(len(values)))]}\n"
        else:
            changed[a] = changed[a] * 2
        yield "".join(changed).encode()


def configurations(folder: Path, count: int) -> Iterator[dict[str, Any]]:
    """The ends of mutated files of the shipped studies, kind by kind."""
    root = Path(__file__).parents[1]
    shutil.copytree(root / "sweeps", folder / "sweeps")
    study = folder / "sweeps" / "unet_decoder.yaml"
    files = {
        "study": study,
        "base": folder / "sweeps" / "bases" / "unet.yaml",
        "model": folder / "sweeps" / "bases" / "models" / "unet.yaml",
        "recipe": folder / "sweeps" / "corpora" / "qianziwen.yaml",
        "gate": folder / "sweeps" / "gates" / "production.yaml",
    }
    for number, (kind, file) in enumerate(files.items()):
        content, share = file.read_bytes(), count // len(files)
        damaged = chain(mutants(content, share // 2, seed=20 + number), reworded(content, share // 2, seed=30 + number))
        read = file if kind in ("recipe", "gate") else folder / "sweeps" / "unet_aug.yaml" if kind == "model" else study
        yield {"mutants": f"configuration: {kind}", **hostile(damaged, file, partial(_check, read))}
        file.write_bytes(content)


def _check(read: Path, mutant: Path) -> list[str]:
    """Of the file that names the mutant."""
    return ["sweep", "check", str(read)]


def hostile(contents: Iterator[bytes], place: Path, arguments: Callable[[Path], list[str]]) -> dict[str, Any]:
    """Run the command on each, in this process, and count how it ends."""
    codes: Counter[int] = Counter()
    tracebacks, slowest = 0, 0.0
    for content in contents:
        place.write_bytes(content)
        out, err = io.StringIO(), io.StringIO()
        began = time.process_time()
        with (
            mock.patch.object(sys, "argv", ["ocr-sweep", *arguments(place)]),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            signal.setitimer(signal.ITIMER_PROF, SECONDS)
            codes[_run()] += 1
            signal.setitimer(signal.ITIMER_PROF, 0)
        slowest = max(slowest, time.process_time() - began)
        tracebacks += "Traceback" in out.getvalue() + err.getvalue()
    return {"exit codes": dict(sorted(codes.items())), "tracebacks": tracebacks, "slowest, s": round(slowest, 2)}


def model_and_picture(folder: Path) -> tuple[Path, Path]:
    """A finished file of a small network that has learnt nothing, and a picture."""
    torch.manual_seed(0)
    network = build_model(
        UNetConfig(kind="unet", base_channels=8, depth=2, dropout=0.0, decoder=False, reconstruction_weight=0.0), 8, 32
    )
    path = folder / "model.onnx"
    export_onnx(network.eval(), path, chars="一二三十口日田木", image_size=32)
    describe_onnx(path, {"temperature": 1.0, "threshold": {"value": 0.1}, "card": "# small"})
    picture = np.full((90, 80, 3), 230, np.uint8)
    cv2.rectangle(picture, (20, 20), (60, 70), (20, 30, 40), 6)
    cv2.imwrite(str(folder / "scan.png"), picture)
    return path, folder / "scan.png"


def main() -> int:
    """Count, print, and fail on any other end."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--mutants", type=int, default=1000)
    count = parser.parse_args().mutants
    ends = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        model, scan = model_and_picture(folder)
        picture = cv2.imread(str(scan))
        recogniser = Recogniser.open(model)
        with mock.patch.object(recognize, "_opened", lambda model, threads: recogniser):  # once is enough
            for number, suffix in enumerate(("png", "jpg", "webp", "bmp")):
                damaged = mutants(cv2.imencode(f".{suffix}", picture)[1].tobytes(), count // 4, seed=number)
                end = hostile(damaged, folder / f"x.{suffix}", lambda file: ["recognize", str(file), "--model", str(model)])
                ends.append({"mutants": suffix, **end})
        damaged = mutants(model.read_bytes(), count, seed=9)
        end = hostile(damaged, folder / "x.onnx", lambda file: ["recognize", str(scan), "--model", str(file)])
        ends.append({"mutants": "onnx", **end})
        with mock.patch.dict(os.environ, {"OCR_SWEEP_HOME": str(folder)}):
            ends += configurations(folder, count)
    for end in ends:
        print(json.dumps(end), flush=True)  # noqa: T201
    return 0 if all(end["tracebacks"] == 0 and set(end["exit codes"]) <= {0, 2, 3} for end in ends) else 1


if __name__ == "__main__":
    sys.exit(main())
