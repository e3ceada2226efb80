"""Writing that survives a kill or a full disk, and locks that end with their holder."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ocr_sweep.errors import ConflictError, StoreError

_UNAVAILABLE = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES, errno.EPERM}


@contextmanager
def store_errors(what: str) -> Iterator[None]:
    """Turn a full, read-only, broken or forbidden disk into a StoreError that names `what` was being done.

    Raises:
        StoreError: for ENOSPC, EDQUOT, EROFS, EIO, EACCES and EPERM; other errors pass through.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _UNAVAILABLE:
            raise
        target = error.filename2 or error.filename  # of a copy, the place it goes to
        place = f" ({target})" if target else ""
        raise StoreError(
            f"{what} failed: {os.strerror(error.errno or 0)}{place}. What was recorded before is safe; "
            "free space or mend the disk, then run the same command again"
        ) from error


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file atomically: a reader or a kill at any moment sees the old bytes or the new ones.

    Raises:
        StoreError: the disk is full, read-only, broken or forbidden; the old file is intact.
    """
    aside = new_aside(path)
    with store_errors(f"writing {path}"):
        try:
            with aside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
        sync_directory(path.parent)


def new_aside(path: Path) -> Path:
    """A name beside `path`, for what is not finished yet."""
    return path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")


@contextmanager
def created_aside(path: Path) -> Iterator[Path]:
    """A name under which the block makes a file of several writes; `path` names it once it is whole.

    What a kill left of former attempts is removed: hold a lock.

    Raises:
        StoreError: the disk is full, read-only, broken or forbidden.
    """
    with store_errors(f"creating {path}"):
        for left in path.parent.glob(f".{path.name}.*.tmp*"):  # a database has a journal beside it
            left.unlink()
        aside = new_aside(path)
        yield aside
        give_name(aside, path)


def give_name(aside: Path, path: Path) -> None:
    """Put a finished file in the place of `path`, atomically and for good, whoever wrote it."""
    sync_file(aside)
    aside.replace(path)
    sync_directory(path.parent)


def sync_file(path: Path) -> None:
    """Make the bytes of a file durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write plain data as readable JSON, atomically (see `write_bytes`)."""
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    write_bytes(path, text.encode() + b"\n")


def read_json(path: Path) -> Any:
    """Read a JSON file."""
    return json.loads(path.read_text(encoding="utf-8"))


def make_directory(path: Path) -> None:
    """Make a folder, and those above it that are missing; once this returns their names are durable."""
    missing = [folder for folder in (path, *path.parents) if not folder.exists()]
    path.mkdir(parents=True, exist_ok=True)
    for folder in missing:
        sync_directory(folder.parent)


def sync_directory(path: Path) -> None:
    """Make the names in a directory durable."""
    sync_file(path)


@contextmanager
def file_lock(path: Path, *, wait: bool, busy: str = "") -> Iterator[None]:
    """Hold an exclusive lock on `path`; the kernel releases it when the process ends, however it ends.

    Args:
        wait: wait for the holder; otherwise fail at once.
        busy: the sentence to raise when somebody else holds the lock.

    Raises:
        ConflictError: somebody else holds the lock and `wait` is false.
    """
    with store_errors(f"locking {path}"):
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise ConflictError(busy or f"{path} is locked by another process") from None
        yield
    finally:
        os.close(handle)
