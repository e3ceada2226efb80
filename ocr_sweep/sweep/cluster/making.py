"""The images of a corpus, made on the nodes of a cluster: Ray's tasks, the same bytes as here.

Fonts go into the object store once and stay on a node's disk by their hash; scans travel with the task that reads them.
Finding fonts and what they cover, looking for copies, splits and the store itself are the driver's.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import ray
from ray.exceptions import RayError, RayTaskError

from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.corpus.jobs import SMALL, Batch, BoxJob, GlyphJob, Job, ScanJob, SimulatedJob, make_batch, probe
from ocr_sweep.disk import write_bytes
from ocr_sweep.errors import ConflictError, OcrSweepError, StoreError
from ocr_sweep.sweep.cluster import versions
from ocr_sweep.sweep.cluster.scratch import Scratch

_CHUNK = 256  # images of a task
_AHEAD = 3  # tasks for each core of the cluster that are given out before their images are asked for
_PROBED = 32  # size of the picture that nodes must draw as the driver does


class ClusterMaker:
    """Makes images on all nodes that have joined (see `ocr_sweep.corpus.jobs.Maker`)."""

    def __init__(self) -> None:
        self._make = ray.remote(num_cpus=1, scheduling_strategy="SPREAD")(make_there)
        self._program = (tuple(versions.versions().items()), probe(_PROBED, simulated=True))
        self._fonts: dict[Path, tuple[str, Any]] = {}  # sha256, and a reference to the bytes

    def __call__(self, jobs: Sequence[Job], size: int) -> Iterator[Batch]:
        """Make the images of all jobs, in order, some hundred at a time; a few are made here.

        Raises:
            ConflictError: a node runs another program, or draws other pixels.
            StoreError: a node's disk refuses, or the cluster is gone.
        """
        chunks = (jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK))
        if len(jobs) < SMALL:
            yield from (make_batch(chunk, size) for chunk in chunks)
            return
        ahead = _AHEAD * int(ray.cluster_resources().get("CPU", 1))
        waiting = deque((chunk, self._send(chunk, size)) for chunk in islice(chunks, ahead))
        try:
            while waiting:
                chunk, answer = waiting.popleft()
                batch = _received(answer)
                waiting += [(following, self._send(following, size)) for following in islice(chunks, 1)]
                yield make_batch(chunk, size) if batch is None else batch
        finally:
            for _, answer in waiting:
                if answer is not None:
                    ray.cancel(answer)

    def _send(self, chunk: Sequence[Job], size: int) -> Any:
        """A reference to a chunk's images; None where its files cannot be sent: then this machine says what is wrong."""
        try:
            fonts = {job.path: self._font(job.path) for job in chunk if isinstance(job, GlyphJob | SimulatedJob)}
            scans = {path: path.read_bytes() for path in {job.path for job in chunk if isinstance(job, ScanJob | BoxJob)}}
        except OSError:
            return None
        return self._make.remote(list(chunk), size, fonts, scans, self._program)

    def _font(self, path: Path) -> tuple[str, Any]:
        if path not in self._fonts:
            content = path.read_bytes()
            self._fonts[path] = hashlib.sha256(content).hexdigest(), ray.put(content)
        return self._fonts[path]


def _received(answer: Any) -> Batch | None:
    """The images of a chunk; None where this machine must make them."""
    if answer is None:
        return None
    try:
        batch: Batch = ray.get(answer)
    except RayTaskError as error:
        if isinstance(error.cause, OcrSweepError):
            raise error.cause from error
        raise
    except RayError as error:
        raise StoreError(
            f"the Ray cluster must make the images of the corpus, but: {str(error).splitlines()[0]}. "
            "What was finished is kept; when the cluster is back, run the same command again"
        ) from error
    return None if any("/" in reason for reason in batch.unreadable.values()) else batch  # it names a file: not by that name


def make_there(
    jobs: Sequence[Job],
    size: int,
    fonts: Mapping[Path, tuple[str, Any]],
    scans: Mapping[Path, bytes],
    program: tuple[tuple[tuple[str, str], ...], str],
) -> Batch:
    """Make the images of a few jobs on this node.

    Args:
        fonts: of each font file on the driver the sha256, and a reference to its bytes.
        scans: the bytes of the other files.
        program: what the driver runs, and what it makes of the probe.

    Raises:
        ConflictError: this node runs another program.
    """
    _check(*program)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as folder:
        places = {path: _font_file(sha256, path.suffix, reference) for path, (sha256, reference) in fonts.items()}
        for number, (path, content) in enumerate(scans.items()):
            places[path] = Path(folder) / f"{number}{path.suffix}"
            places[path].write_bytes(content)
        return make_batch([replace(job, path=places[job.path]) for job in jobs], size)


@cache
def _check(driver: tuple[tuple[str, str], ...], drawn: str) -> None:
    here = versions.versions()
    differ = versions.differences(dict(driver), here)
    if not differ and probe(_PROBED, simulated=True) != drawn:
        differ = ["a picture drawn there has other pixels"]
    if differ:
        raise ConflictError(versions.refusal(ray.util.get_node_ip_address(), differ))


_fonts: dict[str, Path] = {}  # in a node's process: files whose bytes it has seen to be right, by their hashes


def _font_file(sha256: str, suffix: str, reference: Any) -> Path:
    """Where this node has a font's bytes, whatever it is called on the driver."""
    if sha256 not in _fonts:
        scratch = Scratch.find()
        path = scratch.made(scratch.fonts) / f"{sha256}{suffix}"
        if not path.is_file() or file_sha256(path) != sha256:
            write_bytes(path, ray.get(reference))
        _fonts[sha256] = path
    return _fonts[sha256]
