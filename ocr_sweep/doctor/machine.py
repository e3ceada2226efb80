"""What a study needs around it: the machine, the study files, the fonts."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from ocr_sweep.config.load import load_study
from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import OcrSweepError

_COMMON = "天地玄黄宇宙洪荒日月"  # characters that every CJK face draws
_ROOM = 2_000_000_000  # bytes that a study should find free


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    subject: str
    fine: bool
    sentence: str

    def as_dict(self) -> dict[str, object]:
        """Plain data for programs."""
        return asdict(self)


def look_around(paths: Paths) -> list[Finding]:
    """Look at everything; a check that fails does not stop the next."""
    return [*_machine(paths), *_studies(paths), *_fonts(paths)]


def _machine(paths: Paths) -> Iterator[Finding]:
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    yield Finding("machine", True, f"{len(os.sched_getaffinity(0))} cores, {device}, torch {torch.__version__}")
    free = shutil.disk_usage(paths.root).free
    had = "are" if free > _ROOM else f"are not: {free / 1e9:.1f} GB are"
    yield Finding("disk", free > _ROOM, f"a study wants {_ROOM / 1e9:.0f} GB, and they {had} free at {paths.root}")
    state = "exists" if paths.data.is_dir() else "does not exist; only studies on real scans need it (OCR_SWEEP_DATA)"
    yield Finding("data root", True, f"{paths.data} {state}")


def _studies(paths: Paths) -> Iterator[Finding]:
    for file in sorted(paths.sweeps.glob("*.yaml")):
        try:
            study = load_study(file, paths.sweeps)
            yield Finding(f"study {file.stem}", True, study.question)
        except OcrSweepError as error:
            yield Finding(f"study {file.stem}", False, str(error))


def _fonts(paths: Paths) -> Iterator[Finding]:
    from ocr_sweep.corpus import find_faces

    def silent(what: str, done: int, total: int) -> None:
        """No bar for a look."""

    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:  # what it remembers of fonts would be a change
        try:
            faces, skipped = find_faces(["system"], _COMMON, data_root=paths.data, cache=Path(folder), progress=silent)
        except OcrSweepError as error:
            yield Finding("fonts", False, str(error))
            return
    named = ", ".join(face.family for face in faces[:6])
    yield Finding("fonts", True, f"{len(faces)} faces with CJK characters: {named}")
    for left_out in skipped:
        yield Finding("font", True, f"{left_out.name} is left out: {left_out.reason}")
