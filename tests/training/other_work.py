"""What other processes do in tests; loads without torch, so that one starts in half a second."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path

from ocr_sweep.errors import TrialMemoryError
from ocr_sweep.training import processes
from ocr_sweep.training.processes import Seat, other_processes


def sleep(seat: Seat, folder: Path) -> None:
    """Tell its number, and never end by itself."""
    (folder / f"pid{seat.rank}").write_text(str(os.getpid()))
    seat.ready()
    time.sleep(600)


def finish(seat: Seat, folder: Path) -> None:
    """Do its work and end."""
    seat.ready()
    time.sleep(0.2)
    (folder / f"done{seat.rank}").touch()


def refuse(seat: Seat, folder: Path) -> None:
    """Fail while it is built."""
    raise TrialMemoryError("oom: the memory of the GPU does not suffice")


def stumble(seat: Seat, folder: Path) -> None:
    """Meet a bug in the middle of its work."""
    seat.ready()
    raise ZeroDivisionError("of nothing")


def hold(folder: Path, grace: float) -> None:
    """A trial that never looks at its other process."""
    processes._GRACE = grace
    with other_processes(2, folder, sleep, folder):
        time.sleep(600)


def alive(pid: int) -> bool:
    """Whether a process lives; one that has ended and waits for its parent does not."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    return False
