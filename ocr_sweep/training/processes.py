"""The processes of a training's other devices: started by the trial's own process, watched by it, and ended with it."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

import cv2

from ocr_sweep.errors import OcrSweepError, ProcessDiedError, TrialFailedError, TrialMemoryError
from ocr_sweep.pulse import end_with_parent, show_stacks_when_told

_NOTICE = 10.0  # seconds until the death behind an error is known
_GRACE = 60.0  # seconds that a training goes on without one of its processes, before it is ended from outside
_FAREWELL = 60.0  # seconds that processes get to end when their work is done
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_READY, _FAILED, _OOM, _BUG = "ready", "failed", "oom", "bug"  # what a process may say


@dataclass(frozen=True)
class Seat:
    """The place of one of the other processes."""

    rank: int
    devices: int
    rendezvous: Path  # the file where all of them meet
    wire: Connection  # to the trial's process

    def ready(self) -> None:
        """Say that everything is built and the others can be met."""
        self.wire.send((_READY, ""))


class _Other:
    """One of the other processes, as the trial's own sees it."""

    def __init__(self, seat: Seat, wire: Connection, work: Callable[..., None], args: tuple[Any, ...]) -> None:
        self.rank = seat.rank
        self.wire = wire
        self.word = ("", "")  # the last that it said
        self.process: SpawnProcess = multiprocessing.get_context("spawn").Process(
            target=_run, args=(seat, work, args), name=f"device {seat.rank}"
        )
        self._asking = threading.Lock()

    @property
    def exit_code(self) -> int | None:
        """None while it lives; minus a signal's number when a signal ended it."""
        with self._asking:  # two threads do
            if self.process.pid is not None and wait([self.process.sentinel], timeout=0):
                self.process.join()  # its files are closed a moment before it is gone
            return self.process.exitcode

    def listen(self) -> tuple[str, str]:
        """The last that it said."""
        with suppress(EOFError):
            while self.wire.poll():
                self.word = self.wire.recv()
        return self.word

    def end(self) -> None:
        """End it now, if it lives."""
        if self.process.pid is not None:
            self.process.kill()
            self.process.join()
        self.wire.close()


@contextmanager
def other_processes(devices: int, folder: Path, work: Callable[..., None], *args: Any) -> Iterator[Path]:
    """Run `work(seat, *args)` in a process for each device but the first, as long as the block lasts; gives the rendezvous.

    No signal but SIGKILL reaches these processes: they end with this one, however it ends.

    Args:
        folder: where the file of the rendezvous may lie.

    Raises:
        TrialFailedError: one of them failed, with its own sentence.
        ProcessDiedError: one of them was killed.
    """
    for left in folder.glob("rendezvous-*"):  # by a process that was killed
        left.unlink(missing_ok=True)
    rendezvous = folder / f"rendezvous-{secrets.token_hex(8)}"
    others: list[_Other] = []
    over = threading.Event()
    try:
        _start(others, devices, rendezvous, work, args)
        threading.Thread(target=_guard, args=(others, over), daemon=True, name="processes").start()
        _await_ready(others)
        yield rendezvous
        over.set()
        _await_ends(others)
    except Exception as error:
        reason = _reason(others, patience=0.0 if isinstance(error, OcrSweepError) else _NOTICE)
        if reason is None:
            raise
        raise reason from error
    finally:
        over.set()
        for other in others:
            other.end()
        rendezvous.unlink(missing_ok=True)


def _start(others: list[_Other], devices: int, rendezvous: Path, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    resource_tracker.ensure_running()  # its start would lift the mask
    former = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)  # a new process keeps the mask, from its first moment on
    try:
        for rank in range(1, devices):
            mine, theirs = multiprocessing.Pipe(duplex=False)
            others.append(_Other(Seat(rank, devices, rendezvous, theirs), mine, work, args))
            others[-1].process.start()
            theirs.close()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _run(seat: Seat, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    """The life of another process."""
    parent = multiprocessing.parent_process()
    assert parent is not None and parent.pid is not None
    end_with_parent(parent.pid)
    show_stacks_when_told()
    cv2.setNumThreads(1)
    try:
        work(seat, *args)
    except TrialMemoryError as error:
        seat.wire.send((_OOM, str(error)))
        sys.exit(error.exit_code)
    except OcrSweepError as error:
        seat.wire.send((_FAILED, str(error)))
        sys.exit(error.exit_code)
    except Exception as error:
        traceback.print_exc()
        seat.wire.send((_BUG, f"{type(error).__name__}: {error}"))
        sys.exit(1)


def _await_ready(others: Sequence[_Other]) -> None:
    """Wait until all are ready to meet.

    Raises:
        TrialFailedError, ProcessDiedError: one of them is no more.
    """
    for other in others:
        wait([other.wire, other.process.sentinel])
        if other.listen()[0] != _READY:
            raise _reason(others, patience=_NOTICE) or RuntimeError(f"device {other.rank} left without a word")


def _await_ends(others: Sequence[_Other]) -> None:
    """Let those who have done their work end by themselves."""
    until = time.monotonic() + _FAREWELL
    for other in others:
        wait([other.process.sentinel], timeout=max(0.0, until - time.monotonic()))


def _guard(others: Sequence[_Other], over: threading.Event) -> None:
    """End this process when another is gone and it does not notice: on GPUs, a sum waits for ever for one that is gone."""
    while not over.wait(1.0):
        if any(other.exit_code not in (None, 0) for other in others) and not over.wait(_GRACE):
            with suppress(OSError):
                os.write(2, f"{_reason(others, patience=0.0)}\n".encode())
            os._exit(ProcessDiedError.exit_code)


def _reason(others: Sequence[_Other], patience: float) -> TrialFailedError | None:
    """Why a training cannot go on, if it is because another process is no more.

    One that failed says why. One that says nothing was killed; those that met a bug may have met nothing but its end.

    Args:
        patience: seconds to wait for the first of them to end.
    """
    wait([other.process.sentinel for other in others if other.process.pid is not None], timeout=patience)
    dead = [other for other in others if other.exit_code not in (None, 0)]
    if not dead:
        return None
    order = {_FAILED: 0, _OOM: 0, _READY: 1, "": 1, _BUG: 2}
    kind, first = min(((other.listen(), other) for other in dead), key=lambda pair: order[pair[0][0]])
    if kind[0] in (_FAILED, _OOM):
        return TrialFailedError(kind[1]) if kind[0] == _FAILED else TrialMemoryError(kind[1])
    if kind[0] == _BUG:
        return TrialFailedError(f"bug: {kind[1]}, in the process of device {first.rank}; the log has its traceback")
    code = first.exit_code or 0
    how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
    return ProcessDiedError(
        f"devices: all {len(others) + 1} processes of a training must live to its end, but that of device {first.rank} {how}; "
        "if the machine's memory was full, write fewer training.devices or a smaller batch_size"
    )
