"""Scanned sources in archives: unpacked once into the cache, by an extractor that distrusts every entry.

`tarfile.extractall` and `shutil.unpack_archive` can be led out of the folder, so each entry is checked here and only plain
files of known kinds are written.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path
from typing import IO, BinaryIO

from ocr_sweep.corpus.archive_entries import BROKEN, Entry, damaged, entries_of
from ocr_sweep.corpus.archive_limits import Budget, HostileArchiveError
from ocr_sweep.corpus.fonts import Progress
from ocr_sweep.disk import file_lock, read_json, store_errors, sync_directory, write_json
from ocr_sweep.errors import DataError

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz")
KINDS = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".csv", ".json"}
"""Suffixes of the files that are written; others are checked and passed over."""

_CHUNK = 2**20  # bytes


def is_archive(name: str) -> bool:
    """Whether a path names an archive, by its suffix."""
    return name.lower().endswith(SUFFIXES)


def unpack(path: Path, cache: Path, progress: Progress | None = None) -> Path:
    """Return the folder that an archive holds, and unpack it first unless the cache has it, by the sha256 of its bytes.

    A kill at any moment leaves nothing under the archive's name. A single folder in which all else lies is entered.

    Raises:
        DataError: the archive is damaged, encrypted, too large or hostile; nothing of it is left on the disk.
        StoreError: the cache cannot be written.
    """
    with path.open("rb") as file:
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
        final = cache / "archives" / sha256
        with file_lock(final.with_name(f".{sha256}.lock"), wait=True), store_errors(f"unpacking {path}"):
            if not final.is_dir():
                _unpack_aside(path, file, final, progress)
            _note_origin(final, path)
    return _enter(final)


def _note_origin(final: Path, path: Path) -> None:
    """Write beside an unpacked folder which archive it came from, and when it was last asked for."""
    now = path.stat()
    write_json(origin_file(final), origins(final) | {str(path.absolute()): [now.st_size, now.st_mtime_ns]})


def origins(final: Path) -> dict[str, list[int]]:
    """The archives that an unpacked folder came from, each with its size in bytes and time of change in nanoseconds."""
    try:
        return {str(name): [int(size), int(changed)] for name, (size, changed) in read_json(origin_file(final)).items()}
    except (OSError, ValueError, TypeError, AttributeError):  # not there, or damaged
        return {}


def origin_file(final: Path) -> Path:
    """Where the origin of an unpacked folder is written down."""
    return final.with_name(f"{final.name}.json")


def _unpack_aside(path: Path, file: BinaryIO, final: Path, progress: Progress | None) -> None:
    aside = final.with_name(f".{final.name}.tmp")
    shutil.rmtree(aside, ignore_errors=True)  # a killed process's: the lock is ours
    aside.mkdir(mode=0o700)
    size = os.fstat(file.fileno()).st_size
    budget = Budget(size)
    try:
        for entry in entries_of(file, path.name, budget):
            if progress is not None:
                progress(f"unpacking {path.name}", min(entry.position, size), size)
            _write(entry, aside, budget)
        os.sync()  # all files at once, before they get their name
        aside.rename(final)
        sync_directory(final.parent)
    except HostileArchiveError as error:
        shutil.rmtree(aside, ignore_errors=True)
        raise DataError(f"archive {path} is not unpacked, because {error}") from None
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _write(entry: Entry, root: Path, budget: Budget) -> None:
    """Write an entry below `root`, and never more bytes than it said."""
    budget.claim(entry.name)
    target = root / entry.name
    parts = entry.name.split("/")
    if target.suffix.lower() not in KINDS or any(part.startswith(".") or part == "__MACOSX" for part in parts):
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    assert target.parent.resolve().is_relative_to(root.resolve()), "a checked name stays below its root"
    written = 0
    with _opened(entry) as source, target.open("xb") as file:
        while chunk := _read(source, _CHUNK):
            written += len(chunk)
            if written > entry.size:
                raise HostileArchiveError(f"entry {entry.name!a} holds more bytes than it says")
            file.write(chunk)
    if written != entry.size:
        raise HostileArchiveError(f"entry {entry.name!a} is cut short")
    budget.total += written


def _opened(entry: Entry) -> IO[bytes]:
    try:
        return entry.open()
    except BROKEN as error:
        raise damaged(error) from error


def _read(source: IO[bytes], size: int) -> bytes:
    try:
        return source.read(size)
    except BROKEN as error:
        raise damaged(error) from error


def _enter(folder: Path) -> Path:
    """Go into a folder that holds nothing but one folder with a name longer than a character, as archives often do."""
    inside = list(folder.iterdir())
    if len(inside) == 1 and inside[0].is_dir() and len(inside[0].name) > 1 and not inside[0].name.upper().startswith("U+"):
        return inside[0]
    return folder
