"""Who drives a study: one process, which says in the study's lock file who it is."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import file_lock, store_errors


@contextmanager
def driving(study: str, paths: Paths) -> Iterator[None]:
    """Be the only driver of a study.

    Raises:
        ConflictError: another process drives it; the message says which, where, and since when.
    """
    lock = paths.lock(f"study-{study}")
    with file_lock(lock, wait=False, busy=_busy(study, lock)):
        me = {"pid": os.getpid(), "host": platform.node(), "since": datetime.now().isoformat(" ", "minutes")}
        with store_errors(f"writing {lock}"):
            lock.write_text(json.dumps(me))
        yield


def _busy(study: str, lock: Path) -> str:
    """What to say where somebody else drives; the file may also be empty, or of a driver that has gone."""
    try:
        other = json.loads(lock.read_text())
        who = f"process {int(other['pid'])} on {other['host']}, since {other['since']}"
        stop = f"`kill {int(other['pid'])}`"
    except (OSError, ValueError, KeyError, TypeError):
        who, stop = "another process", "Ctrl-C"
    return (
        f"study '{study}' is being run by {who}, and one process drives a study: run it with --join to look on and to take over "
        f"if it dies, or stop it there with {stop} (every trial is checkpointed) and run it again; `workers:` in its file says "
        "how many trials it runs at a time"
    )
