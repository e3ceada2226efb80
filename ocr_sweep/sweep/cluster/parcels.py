"""What a trial writes, on its way from one machine's disk to another's: whole files, with their hashes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.disk import store_errors, write_bytes
from ocr_sweep.errors import IntegrityError
from ocr_sweep.sweep.trials.attempt import Attempt

Stamp = tuple[int, int, int]  # of a file: inode, size, time of its last change in ns


@dataclass(frozen=True)
class Parcel:
    """A file of a trial's folder."""

    name: str  # relative to the folder
    content: bytes
    sha256: str
    stamp: Stamp  # where it comes from: another one, once the file has changed


def collect(attempt: Attempt, known: Mapping[str, Stamp], *, ended: bool) -> list[Parcel]:
    """Read what has changed, in the order in which it may be written elsewhere.

    Args:
        known: stamps of what the other side has.
        ended: whether the trial's process has; its results are not whole before.
    """
    return [parcel for name in attempt.carried(ended=ended) if (parcel := _read(attempt.folder, name, known.get(name)))]


def _read(folder: Path, name: str, known: Stamp | None) -> Parcel | None:
    try:
        with (folder / name).open("rb") as file:
            stamp = _stamp(os.fstat(file.fileno()))
            if stamp == known:
                return None
            content = file.read()
    except FileNotFoundError:
        return None
    return Parcel(name, content, hashlib.sha256(content).hexdigest(), stamp)


def _stamp(status: os.stat_result) -> Stamp:
    return status.st_ino, status.st_size, status.st_mtime_ns


def deliver(folder: Path, parcels: Iterable[Parcel]) -> None:
    """Write files one after the other, each of them whole or not at all.

    Raises:
        IntegrityError: one is not what was sent; it and those after it are not written.
        StoreError: the disk refuses.
    """
    for parcel in parcels:
        came = hashlib.sha256(parcel.content).hexdigest()
        if came != parcel.sha256:
            raise IntegrityError(
                f"file {parcel.name} of trial {folder.name} must have sha256 {parcel.sha256}, but came with {came}"
            )
        target = folder / parcel.name
        with store_errors(f"writing {target}"):
            target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(target, parcel.content)


def stamps(parcels: Sequence[Parcel]) -> dict[str, Stamp]:
    """The stamps by name."""
    return {parcel.name: parcel.stamp for parcel in parcels}
