"""Mutated pictures and mutated models, given to `ocr-sweep recognize`: whatever they are, the command ends, and in words.

1,000 pictures (a quarter each of PNG, JPEG, WebP and BMP) and 1,000 ONNX files: flipped bits, overwritten runs, cuts, doublings,
and damage to the head. Fails when one ends with another code than 0 (a picture that is still one), 2 or 3, prints a traceback, or
takes more than ten seconds of processor time. Prints one JSON line for each kind.

    .venv/bin/python benchmarks/hostile_input.py [--mutants 1000]
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
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
    for end in ends:
        print(json.dumps(end), flush=True)  # noqa: T201
    return 0 if all(end["tracebacks"] == 0 and set(end["exit codes"]) <= {0, 2, 3} for end in ends) else 1


if __name__ == "__main__":
    sys.exit(main())
