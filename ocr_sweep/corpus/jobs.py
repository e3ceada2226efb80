"""One image each: a glyph, a simulated scan, a scan. Made here or in several processes, with the same bytes."""

from __future__ import annotations

import hashlib
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from ctypes import Array, c_ubyte
from dataclasses import dataclass
from itertools import groupby, islice
from math import prod
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ocr_sweep.corpus.degrade import EM, degrade, draw_degradation
from ocr_sweep.corpus.glyphs import Gray, draw_cropped, draw_glyph, draw_weighted, normalise_ink
from ocr_sweep.corpus.pages import read_box
from ocr_sweep.corpus.pictures import Unreadable, UnreadableImageError, ink_of_gray, read_ink
from ocr_sweep.corpus.scan import Box, Scan
from ocr_sweep.errors import DataError, StoreError

SMALL = 2000
"""Fewer images than this are made in this process: starting others would take longer."""

_CHUNK = 256  # images made by a process at once
_AHEAD = 3  # chunks per process that are made before they are asked for: memory stays small
_ATTEMPTS = 20  # draws of a degradation that leaves no ink


@dataclass(frozen=True)
class GlyphJob:
    """Draw a character in a face."""

    path: Path
    index: int
    char: str
    extent: float | None = None  # longer side of its ink as a share of the em; None: measured when it is drawn
    weight: float = 0.0  # change of the stroke width as a share of the em

    def __reduce__(self) -> tuple[type[GlyphJob], tuple[Path, int, str, float | None, float]]:
        return GlyphJob, (self.path, self.index, self.char, self.extent, self.weight)  # sent to workers by the million


@dataclass(frozen=True)
class SimulatedJob:
    """Draw a character in a face and degrade it; `key` names the image and seeds its chance."""

    path: Path
    index: int
    char: str
    wear: float
    key: str


@dataclass(frozen=True)
class ScanJob:
    """Read a scan."""

    path: Path
    rows: tuple[int, int] | None


@dataclass(frozen=True)
class BoxJob:
    """Read one character of a page; the jobs of a page share the tuple of all its boxes."""

    path: Path
    boxes: tuple[Box, ...]
    number: int


Job = GlyphJob | SimulatedJob | ScanJob | BoxJob


@dataclass(frozen=True)
class Batch:
    """The images of consecutive jobs."""

    images: NDArray[np.uint8]  # (n, S, S), without those that could not be made
    unreadable: dict[int, str]  # number of a job in the batch -> why it has no image
    held_back: tuple[int, ...]  # numbers of those whose strokes could not bear the weight that was asked for

    def __len__(self) -> int:
        return len(self.images) + len(self.unreadable)


Maker = Callable[[Sequence[Job], int], Iterator[Batch]]
"""Makes the images of jobs at a size, in order; whoever makes them, and how many there are, changes no byte."""


def make_image(job: Job, size: int) -> Gray | Unreadable:
    """Make one image of (S, S) pixels, 0 paper, 255 full ink."""
    return _make(job, size)[0]


def make_batch(jobs: Sequence[Job], size: int) -> Batch:
    """Make the images of a few jobs, in order."""
    made = [_make(job, size) for job in jobs]
    images = [image for image, _ in made if not isinstance(image, Unreadable)]
    return Batch(
        np.stack(images) if images else np.empty((0, size, size), np.uint8),
        {i: image.reason for i, (image, _) in enumerate(made) if isinstance(image, Unreadable)},
        tuple(i for i, (_, held_back) in enumerate(made) if held_back),
    )


def _make(job: Job, size: int) -> tuple[Gray | Unreadable, bool]:
    if isinstance(job, GlyphJob) and job.weight:
        image, borne = draw_weighted(job.path, job.index, job.char, size, job.weight)
        return image, abs(borne - job.weight) > 1e-6
    return _make_plain(job, size), False


def _make_plain(job: Job, size: int) -> Gray | Unreadable:
    match job:
        case GlyphJob(path, index, char, extent):
            return draw_glyph(path, index, char, size, extent=extent)
        case SimulatedJob():
            return _simulate(job, size)
        case ScanJob(path, rows):
            try:
                return normalise_ink(read_ink(path, rows), size)
            except UnreadableImageError as error:
                return Unreadable(str(error))
        case BoxJob(path, boxes, number):
            return read_box(path, boxes, number, size)


def scan_jobs(scans: Sequence[Scan]) -> list[Job]:
    """Return a job for each scan, in order; boxes of one page that follow each other need one decoding of it."""
    jobs: list[Job] = []
    for path, run in groupby(scans, key=lambda scan: scan.path):
        of_page = list(run)
        boxes = tuple(scan.box for scan in of_page if scan.box is not None)
        if boxes:
            jobs += [BoxJob(path, boxes, number) for number in range(len(boxes))]
        else:
            jobs += [ScanJob(path, scan.rows) for scan in of_page]
    return jobs


def _simulate(job: SimulatedJob, size: int) -> Gray:
    rng = np.random.default_rng(int.from_bytes(hashlib.sha256(job.key.encode()).digest()[:16]))
    glyph = draw_cropped(job.path, job.index, job.char, EM)
    for _ in range(_ATTEMPTS):
        try:
            return normalise_ink(ink_of_gray(degrade(glyph, draw_degradation(rng, job.wear))), size, frame=EM)
        except UnreadableImageError:
            continue
    raise DataError(f"simulated scans of {job.char} U+{ord(job.char):04X} hold no ink at `wear: {job.wear}`; lower it")


def probe(size: int, *, simulated: bool) -> str:
    """Return a hash of what this code and these libraries make of a picture drawn here: it changes when the bytes would.

    Args:
        simulated: whether the degradation model takes part.
    """
    strokes = np.zeros((EM, EM), np.uint8)
    cv2.line(strokes, (8, 20), (118, 33), 255, 9, cv2.LINE_AA)
    cv2.ellipse(strokes, (60, 76), (44, 36), 20, 0, 300, 255, 7, cv2.LINE_AA)
    pictures = [np.float32(230) - strokes * np.float32(0.7)]
    if simulated:
        pictures += [degrade(strokes, draw_degradation(np.random.default_rng(seed), 0.8)) for seed in range(4)]
    return hashlib.sha256(b"".join(normalise_ink(ink_of_gray(picture), size).tobytes() for picture in pictures)).hexdigest()


def make_images(jobs: Sequence[Job], size: int, workers: int) -> Iterator[Gray | Unreadable]:
    """Make the images of all jobs, in order. The number of workers changes no byte.

    Raises:
        StoreError: a worker process died, most often for lack of memory.
    """
    for batch in make_batches(jobs, size, workers):
        if not batch.unreadable:
            yield from batch.images
            continue
        images = iter(batch.images)
        yield from (Unreadable(batch.unreadable[i]) if i in batch.unreadable else next(images) for i in range(len(batch)))


def make_batches(jobs: Sequence[Job], size: int, workers: int) -> Iterator[Batch]:
    """Make the images of all jobs, in order, some hundred at a time (see `make_images`)."""
    chunks = (jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK))
    if workers <= 1 or len(jobs) < SMALL:
        yield from (make_batch(chunk, size) for chunk in chunks)
        return
    context = get_context("forkserver")
    ahead = _AHEAD * workers
    shape = (ahead, _CHUNK, size, size)
    shared = context.RawArray(c_ubyte, prod(shape))  # images sent through a pipe would keep workers waiting
    slots = _slots(shared, shape)
    pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_begin_worker, initargs=(shared, shape))
    try:
        waiting = deque((slot, pool.submit(_fill, slot, chunk, size)) for slot, chunk in enumerate(islice(chunks, ahead)))
        while waiting:
            slot, future = waiting.popleft()
            made = future.result()
            batch = Batch(slots[slot, : made.count].copy(), made.unreadable, made.held_back)
            waiting += [(slot, pool.submit(_fill, slot, chunk, size)) for chunk in islice(chunks, 1)]
            yield batch
    except BrokenProcessPool as error:
        raise StoreError("a worker process died while making images (out of memory?); try again with fewer workers") from error
    finally:
        pool.shutdown(cancel_futures=True)


@dataclass(frozen=True)
class _Filled:
    """What a worker says of the batch that it has put into a slot of the shared memory."""

    count: int
    unreadable: dict[int, str]
    held_back: tuple[int, ...]


_memory: list[NDArray[np.uint8]] = []  # in a worker: the slots, (slot, image, S, S)


def _begin_worker(shared: Array[c_ubyte], shape: tuple[int, ...]) -> None:
    """One thread each; a Ctrl-C in the terminal is for the process that waits for them."""
    cv2.setNumThreads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _memory.append(_slots(shared, shape))


def _slots(shared: Array[c_ubyte], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    return np.frombuffer(memoryview(shared), np.uint8).reshape(shape)


def _fill(slot: int, jobs: Sequence[Job], size: int) -> _Filled:
    batch = make_batch(jobs, size)
    _memory[0][slot, : len(batch.images)] = batch.images
    return _Filled(len(batch.images), batch.unreadable, batch.held_back)
