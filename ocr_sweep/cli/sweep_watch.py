"""`ocr-sweep sweep watch` and `stop`: a study that runs elsewhere on this machine."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from pathlib import Path

    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.watching.state import StudyState

_EVERY = 0.5  # seconds between two looks
_IMPATIENCE = 1.0  # seconds between the polite signal and the second one

Study = Annotated[str, typer.Argument(help="A study's name, as `ocr-sweep sweep status` lists it.")]


def watch(study: Study) -> None:
    """Look at a study that runs in another terminal or in the background, until it ends; q or Ctrl-C leaves and disturbs nothing.

    Example: ocr-sweep sweep watch unet_aug
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.cli.picture import picture
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.sweep.watching.state import Condition, state_file

    paths = Paths.find()
    file = state_file(paths, study)
    try:
        state = _follow(file, _known(study, paths))
    except KeyboardInterrupt:
        state = None
    if state is None:
        console.print(f"left; study {study} goes on without you", markup=False)
        return
    console.print(picture(state, state.heard))
    console.print(f"study {study} {_ending(state)}", markup=False, soft_wrap=True)
    if state.end is not Condition.FINISHED:
        console.print(f"next: make sweep STUDY={study}", markup=False)


def joined(study: str, paths: Paths) -> bool:
    """Watch a study for as long as another process runs it; whether there is something left to do here.

    There is when that process finished it, whose results are then shown, or died; not when the watcher left, or when the study
    was stopped or failed there.
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.sweep.study_lock import is_driven
    from ocr_sweep.sweep.watching.state import Condition, read_state, state_file

    file, said = state_file(paths, study), False
    try:
        while is_driven(study, paths):
            if not said:
                said = True
                console.print(f"study {study} is run by another process; leaving disturbs nothing", markup=False)
            state = read_state(file)
            if state is None or not state.is_alive(time.time()):  # it begins or ends, or runs on another machine
                time.sleep(_EVERY)
            elif _follow(file, state) is None:
                raise KeyboardInterrupt
    except KeyboardInterrupt:
        console.print(f"left; study {study} goes on without you", markup=False)
        return False
    state = read_state(file) if said else None
    if state is None or state.end in (None, Condition.FINISHED):
        return True
    console.print(f"study {study} {_ending(state)}", markup=False, soft_wrap=True)
    return False


def stop(
    study: Study,
    now: Annotated[
        bool, typer.Option("--now", help="Wait for no checkpoint: what was recorded is safe, an epoch may be lost.")
    ] = False,
) -> None:
    """Stop a study of this machine after a checkpoint of every trial, and wait until it has; `sweep run` goes on with it.

    Example: ocr-sweep sweep stop unet_aug
    """
    from ocr_sweep.cli.console import console
    from ocr_sweep.config.paths import Paths
    from ocr_sweep.errors import ConflictError
    from ocr_sweep.sweep.watching.state import Condition, read_state, state_file

    paths = Paths.find()
    state = _known(study, paths)
    condition = state.condition(time.time())
    if state.end is None and not state.is_here:
        raise ConflictError(f"study '{study}' must be stopped where it runs: on {state.host}, process {state.pid}")
    if condition is not Condition.RUNNING:
        console.print(f"study {study} is not running: it {_ending(state)}", markup=False, soft_wrap=True)
        return
    _signal(state, signal.SIGTERM)
    if now:
        time.sleep(_IMPATIENCE)
        _signal(state, signal.SIGINT)
    console.print(f"asked process {state.pid} to stop; Ctrl-C leaves it to that", markup=False)
    _wait_for_end(state, paths)
    last = read_state(state_file(paths, study)) or state
    console.print(f"study {study} {_ending(last)}", markup=False, soft_wrap=True)


def _known(study: str, paths: Paths) -> StudyState:
    """The state of a study that has run.

    Raises:
        NotFoundError: there is none.
    """
    from ocr_sweep.errors import NotFoundError
    from ocr_sweep.sweep.watching.state import read_state, state_file

    state = read_state(state_file(paths, study))
    if state is None:
        raise NotFoundError(
            f"study '{study}' has had no session to look at; `ocr-sweep sweep status` lists the studies, "
            f"`make sweep STUDY={study}` begins a session"
        )
    return state


def _follow(file: Path, state: StudyState) -> StudyState | None:
    """Show a study until it ends; None when the watcher leaves first."""
    from rich.live import Live

    from ocr_sweep.cli.console import console
    from ocr_sweep.cli.keyboard import key_pressed, single_keys
    from ocr_sweep.cli.picture import picture
    from ocr_sweep.sweep.watching.state import read_state

    shown = _Lines(state)
    with single_keys(), Live(console=console, auto_refresh=False, transient=True) as live:
        while state.is_alive(time.time()):
            if console.is_terminal:
                live.update(picture(state, time.time()), refresh=True)
            else:
                shown.print(state)
            if key_pressed(_EVERY).lower() == "q":
                return None
            state = read_state(file) or state
    state = read_state(file) or state  # its last act was to write how it ended
    if not console.is_terminal:
        shown.print(state)
    return state


class _Lines:
    """What a watcher without a terminal is told: each training that ends, once."""

    def __init__(self, state: StudyState) -> None:
        self._ended = {job.name for job in state.recent}

    def print(self, state: StudyState) -> None:
        from ocr_sweep.cli.console import console
        from ocr_sweep.cli.live import ended_line

        for job in state.recent:
            if job.name not in self._ended:
                self._ended.add(job.name)
                console.print(ended_line(state, job), markup=False)


def _ending(state: StudyState) -> str:
    """How a study ended that runs no more, after "study X" or "it"."""
    from ocr_sweep.cli.picture import duration
    from ocr_sweep.sweep.watching.plain_text import printable
    from ocr_sweep.sweep.watching.state import Condition

    ago = f"{duration(time.time() - state.heard)} ago"
    match state.condition(time.time()):
        case Condition.FINISHED:
            words = f"finished {ago}"
        case Condition.STOPPED:
            words = f"stopped {ago}"
        case Condition.FAILED:
            words = f"failed {ago}"
        case _:
            words = f"died: its process {state.pid} on {state.host} is gone without a word, last heard of {ago}"
    return printable(f"{words}: {state.sentence}" if state.sentence else words, keep="")


def _signal(state: StudyState, number: signal.Signals) -> None:
    """Send a signal to the supervisor, and to nobody who has its number now.

    Raises:
        ConflictError: it belongs to somebody else.
    """
    from ocr_sweep.errors import ConflictError
    from ocr_sweep.sweep.running.processes import lives

    if not lives(state.pid, state.pid_start):
        return
    try:
        os.kill(state.pid, number)
    except ProcessLookupError:
        return
    except PermissionError:
        raise ConflictError(
            f"study '{state.study}' must be stopped by who runs it: process {state.pid} belongs to another user"
        ) from None


def _wait_for_end(state: StudyState, paths: Paths) -> None:
    """Wait until the supervisor is gone, and say how many trials it still waits for."""
    from ocr_sweep.cli.console import console
    from ocr_sweep.sweep.running.processes import lives, writers

    logs = {paths.work(state.study) / job.folder / "log.txt" for job in state.running}
    with console.status("stopping") as status:
        while lives(state.pid, state.pid_start):
            waiting = len(writers(state.pid, logs))
            status.update(f"waiting for {waiting} trials to write their checkpoints" if waiting else "recording")
            time.sleep(0.2)
