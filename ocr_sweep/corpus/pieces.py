"""One large file of images, written piece by piece: a kill costs the last piece, and the next build goes on after it.

Beside the file lies a log with one line per finished piece: where it ends, the hash of its bytes, and what was noted about
its images. A line is written only after the piece is on disk. Who goes on believes no line whose hash does not hold.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from ocr_sweep.corpus.jobs import Batch

PIECE = 4096
"""Images of a piece, rounded up to whole batches: a kill costs no more."""


@dataclass
class Written:
    """What is in the file so far. Jobs are numbered from 0; an unreadable one has no image."""

    jobs: int = 0
    digests: list[bytes] = field(default_factory=list)  # of each image's pixels, in the file's order
    unreadable: dict[int, str] = field(default_factory=dict)  # job -> reason
    held_back: list[int] = field(default_factory=list)  # jobs whose strokes could not bear their weight


def log_of(path: Path) -> Path:
    """The log beside a file."""
    return path.with_name(f"{path.name}.pieces")


def write_pieces(
    path: Path,
    batches: Callable[[int], Iterator[Batch]],
    total: int,
    size: int,
    *,
    head: bytes,
    key: str,
    progress: Callable[[int, int], None],
) -> Written:
    """Write the images of `total` jobs behind `head`, after those that an earlier build finished.

    Plain writes only: on a full disk a memory map would kill the process.

    Args:
        batches: gives the images from a job on; called once.
        key: names all jobs; what was made under another key is thrown away.
    """
    with _open(path) as file, _open(log_of(path)) as log:
        written = _take_over(file, log, head, key, size)
        pending: list[Batch] = []
        for batch in batches(written.jobs):
            pending.append(batch)
            progress(written.jobs + sum(map(len, pending)), total)
            if sum(map(len, pending)) >= PIECE:
                _finish(file, log, written, pending)
                pending = []
        if pending:
            _finish(file, log, written, pending)
        sync(file)
    assert written.jobs == total, f"{total} images were asked for, but {written.jobs} came"
    progress(total, total)
    return written


def _open(path: Path) -> BinaryIO:
    path.touch()
    return path.open("r+b")


def sync(file: BinaryIO) -> None:
    """Put a file's bytes on disk."""
    file.flush()
    os.fsync(file.fileno())


def npy_head(count: int, size: int) -> bytes:
    """Return the head of a .npy file of (count, size, size) bytes."""
    head = BytesIO()
    shape = {"descr": "|u1", "fortran_order": False, "shape": (count, size, size)}
    np.lib.format.write_array_header_1_0(head, shape)  # type: ignore[no-untyped-call]
    return head.getvalue()


def _finish(file: BinaryIO, log: BinaryIO, written: Written, batches: list[Batch]) -> None:
    content = b"".join(batch.images.tobytes() for batch in batches)
    line = {"sha256": hashlib.sha256(content).hexdigest(), **_notes(batches)}
    file.write(content)
    sync(file)
    log.write(json.dumps(line).encode() + b"\n")
    sync(log)
    images = sum(len(batch.images) for batch in batches)
    _account(written, line, content, len(content) // images if images else 1)


def _notes(batches: list[Batch]) -> dict[str, Any]:
    unreadable: list[tuple[int, str]] = []
    held_back: list[int] = []
    jobs = 0
    for batch in batches:
        unreadable += [(jobs + i, reason) for i, reason in batch.unreadable.items()]
        held_back += [jobs + i for i in batch.held_back]
        jobs += len(batch)
    return {"jobs": jobs, "unreadable": unreadable, "held_back": held_back}


def _account(written: Written, line: dict[str, Any], content: bytes, image_bytes: int) -> None:
    written.unreadable |= {written.jobs + i: reason for i, reason in line["unreadable"]}
    written.held_back += [written.jobs + i for i in line["held_back"]]
    written.digests += [digest(content[at : at + image_bytes]) for at in range(0, len(content), image_bytes)]
    written.jobs += line["jobs"]


def digest(pixels: bytes) -> bytes:
    """Return the hash by which equal images are found."""
    return hashlib.blake2b(pixels, digest_size=16).digest()


def _take_over(file: BinaryIO, log: BinaryIO, head: bytes, key: str, size: int) -> Written:
    """Check what is there, cut both files after the last piece that is whole, and stand at their ends."""
    written = Written()
    first = json.dumps({"key": key}).encode() + b"\n"
    good = len(first)
    if log.readline() == first and file.read(len(head)) == head:
        for text in log:
            line = _line(text)
            content = file.read(line["images"] * size * size) if line else b""
            if line is None or hashlib.sha256(content).hexdigest() != line["sha256"]:
                break
            _account(written, line, content, size * size)
            good += len(text)
        _cut(log, good)
    else:
        _cut(log, 0)
        log.write(first)
        _cut(file, 0)
        file.write(head)
    _cut(file, len(head) + len(written.digests) * size * size)
    sync(file)
    sync(log)
    return written


def _line(text: bytes) -> dict[str, Any] | None:
    """A line of the log; None where a kill cut it short."""
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return {**line, "images": line["jobs"] - len(line["unreadable"])} if text.endswith(b"\n") else None


def _cut(file: BinaryIO, length: int) -> None:
    file.flush()
    file.truncate(length)
    file.seek(length)
