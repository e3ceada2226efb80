"""What runs on a node: one trial after the other, in a folder of that node, and the news of it for the driver."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr_sweep.config.trial import TrialConfig
from ocr_sweep.disk import write_bytes
from ocr_sweep.sweep.cluster.parcels import Parcel, Stamp, collect, deliver
from ocr_sweep.sweep.cluster.scratch import Scratch
from ocr_sweep.sweep.running.engine import Worker
from ocr_sweep.sweep.running.local_engine import LocalEngine
from ocr_sweep.sweep.running.slots import Need, Place
from ocr_sweep.sweep.trials.attempt import Attempt, Wish
from ocr_sweep.tracking.provenance import surroundings

_LOOK = 0.2  # seconds between two looks at what a trial has written
_PATIENCE = 20.0  # seconds after which it is news that there is none


@dataclass(frozen=True)
class Task:
    """A trial as it is sent."""

    start: str  # tells one start of a trial from the next
    folder: str  # its name
    config: TrialConfig
    provenance: dict[str, Any]
    store: Path  # the corpus, on the host's node
    shares: bool  # whether it may share its representation with other trials on its node
    parcels: tuple[Parcel, ...]  # what it has written so far, elsewhere
    files: tuple[str, ...]  # what it reads beside its corpus: names under the data root
    need: Need


@dataclass(frozen=True)
class News:
    """What has happened since the last news."""

    parcels: tuple[Parcel, ...]
    exit_code: int | None = None
    out_of_memory: bool = False


class Host:
    """Holds a place for trials on a node; lives as an actor of Ray, whose resources are those of its trial.

    Args:
        timm: whether trials need timm, so that its import is paid once.
        gpus: tells which of the node's GPUs it may use.
    """

    def __init__(self, timm: bool, gpus: Callable[[], Sequence[int | str]]) -> None:
        self._gpus = gpus
        self._scratch = Scratch.find()
        self._stack = ExitStack()
        self._work = self._stack.enter_context(self._scratch.work())
        self._data = _pretend_project(self._work / "project")
        self._engine = LocalEngine(timm=timm)
        self._beginning, self._asking = threading.Lock(), threading.Lock()  # the driver may ask again before it has an answer
        self._start = ""
        self._attempt: Attempt | None = None
        self._worker: Worker | None = None

    def begin(self, task: Task, *contents: bytes) -> None:
        """Start a trial; told twice, it is started once.

        Args:
            contents: of the files beside the corpus that it reads, in the task's order.

        Raises:
            StoreError: the node's disk refuses.
        """
        with self._beginning:
            if self._start == task.start:
                return
            if self._attempt is not None:
                self._attempt.remove()
            for name, content in zip(task.files, contents, strict=True):
                (self._data / name).parent.mkdir(parents=True, exist_ok=True)
                write_bytes(self._data / name, content)
            self._attempt = Attempt(self._work / task.folder)
            shared = self._scratch.representations if task.shares else None
            self._attempt.prepare(task.config, task.store, {**task.provenance, **surroundings()}, shared)
            deliver(self._attempt.folder, task.parcels)
            place = Place(gpus=tuple(str(gpu) for gpu in self._gpus()))
            self._worker = self._engine.start(self._attempt, place, task.need)
            self._start = task.start

    def news(self, known: dict[str, Stamp]) -> News:
        """Wait until there is something to tell, a while at most.

        Args:
            known: stamps of the files that the driver has.
        """
        attempt, worker, until = self._attempt, self._worker, time.monotonic() + _PATIENCE
        assert attempt is not None and worker is not None, "no trial was begun"
        while True:
            with self._asking:
                code = worker.exit_code  # before the files: a trial that has ended has written its last one
            parcels = collect(attempt, known, ended=code is not None)
            if code is not None:
                return News(tuple(parcels), code, worker.out_of_memory)
            if parcels or time.monotonic() > until:
                return News(tuple(parcels))
            self._engine.wait([worker], _LOOK)

    def wish(self, wish: Wish) -> None:
        """Ask the trial to end at its next batch."""
        assert self._attempt is not None
        self._attempt.wish(wish)

    def show_stacks(self) -> None:
        """Have the stacks of the trial's threads written into its log."""
        if self._worker is not None:
            self._worker.show_stacks()

    def leave(self) -> None:
        """End the trial, if one runs, and leave nothing behind."""
        if self._worker is not None:
            with self._asking:
                if self._worker.exit_code is None:
                    self._worker.kill()
        self._stack.close()


def _pretend_project(folder: Path) -> Path:
    """Make the project in which this process and its trials find themselves; gives its data root."""
    data = folder / "data"
    (folder / "sweeps").mkdir(parents=True)
    data.mkdir()
    os.environ |= {"OCR_SWEEP_HOME": str(folder), "OCR_SWEEP_DATA": str(data)}
    return data
