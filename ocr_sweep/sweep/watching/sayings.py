"""The logs of a study and of its trials, wherever they lie at the moment, and as they grow."""

from __future__ import annotations

import codecs
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.errors import NotFoundError
from ocr_sweep.sweep.watching.state import read_state, state_file
from ocr_sweep.sweep.watching.study_log import former, log_file
from ocr_sweep.tracking.tracker import Tracker

_EVERY = 0.3  # seconds between two looks
_LOG = "log.txt"


def study_sayings(paths: Paths, study: str, follow: bool) -> Iterator[str]:
    """What a study said, oldest first, in pieces.

    Args:
        follow: go on until its session ends.

    Raises:
        NotFoundError: it has said nothing.
    """
    file = log_file(paths, study)
    if not file.exists():
        raise NotFoundError(f"study '{study}' has said nothing yet; `ocr-sweep sweep status` lists the studies")
    if former(file).exists():
        yield from _grown(former(file), lambda: False)
    yield from _grown(file, lambda: follow and _is_alive(paths, study))


def trial_sayings(paths: Paths, study: str, trial: str, follow: bool) -> Iterator[str]:
    """What a training said: from its folder while it is in progress, else from its run.

    Args:
        trial: a trial's number, or a run's name with or without the study's.
        follow: go on until the training ends.

    Raises:
        NotFoundError: there is no such training.
    """
    name = _run_name(study, trial)
    folder = next((folder for folder in _in_progress(paths, study) if _name_of(study, folder) == name), None)
    if folder is not None:
        if not follow and not (folder / _LOG).exists():
            yield f"run {name} has said nothing so far\n"
        yield from _grown(folder / _LOG, lambda: follow and folder.exists() and _is_alive(paths, study))
        return
    record = next((record for record in Tracker.open(paths).runs(study) if record.name == name), None)
    if record is None:
        raise NotFoundError(f"study '{study}' has no run '{name}'; `ocr-sweep runs list {study}` shows those that it has")
    with tempfile.TemporaryDirectory(prefix="ocr-sweep-") as kept:
        found = Tracker.open(paths).unproven(record.run_id, _LOG, Path(kept))
        yield found.read_bytes().decode("utf-8", "replace") if found else f"run {name} said nothing\n"


def _run_name(study: str, trial: str) -> str:
    short = trial.removeprefix(f"{study}-")
    number, dash, suffix = short.partition("-")
    return f"{study}-{int(number):04d}{dash}{suffix}" if number.isdecimal() else f"{study}-{short}"


def _in_progress(paths: Paths, study: str) -> list[Path]:
    return sorted(paths.work(study).glob("*-*"))


def _name_of(study: str, folder: Path) -> str:
    """The run's name of a training in progress: its folder's, without the role (see `Job`)."""
    trial, _, rest = folder.name.partition("-")
    _, dash, suffix = rest.partition("-")
    return f"{study}-{trial}{dash}{suffix}"


def _is_alive(paths: Paths, study: str) -> bool:
    state = read_state(state_file(paths, study))
    return state is not None and state.is_alive(time.time())


def _grown(file: Path, more: Callable[[], bool]) -> Iterator[str]:
    """A file's content, and what is added to it as long as more is to come; a character that is half written waits."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    at = 0
    while True:
        goes_on = more()  # asked before reading: what was written before the end is read
        if file.exists():
            at = 0 if file.stat().st_size < at else at  # a new file has begun
            with file.open("rb") as log:
                log.seek(at)
                content = log.read()
                at = log.tell()
            text = decoder.decode(content, final=not goes_on)
            if text:
                yield text
        if not goes_on:
            return
        time.sleep(_EVERY)
