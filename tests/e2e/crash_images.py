"""Every state that a kill could leave behind: a copy of a folder before each change that a process makes to it.

A kill keeps what the process has handed to the kernel and loses the rest, so a copy that is taken in the midst of the
process, before it opens, renames, removes or commits anything, is what a kill at that moment would leave. Of a file that is
written in place, the cut states are made besides: nothing of what was written, and half.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import re
import shutil
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_CHANGING = {"os.rename": 2, "os.remove": 1, "os.mkdir": 1, "os.rmdir": 1, "os.truncate": 1, "os.link": 2, "os.symlink": 2}
"""Audit events that change a folder, and how many paths they have."""


@dataclass(frozen=True)
class Image:
    """A folder as a kill would leave it."""

    path: Path
    before: str  # what the process was about to do, and where in the program
    acknowledged: int  # how many things had been acknowledged by then


class Recorder:
    """Takes an image of `root` before every change that this process makes to it.

    Args:
        into: a folder elsewhere on the same disk.
        acknowledged: counts what must survive.
    """

    def __init__(self, root: Path, into: Path, acknowledged: Callable[[], int]) -> None:
        self.images: list[Image] = []
        self._root = str(root)
        self._into = into
        self._acknowledged = acknowledged
        self._busy = True
        self._known: dict[str, tuple[tuple[int, ...], Path]] = {}  # what each file was when it was last copied
        self._last: dict[str, tuple[int, ...]] = {}
        self._open: tuple[Path, int, int] | None = None  # the file that is being written in place, its former size, and
        # what had been acknowledged before

    def hear(self, name: str, args: tuple[Any, ...]) -> None:
        """The audit hook."""
        if self._busy:
            return
        if name == "open":
            path, _, flags = args
            if isinstance(path, str) and path.startswith(self._root) and flags & _WRITING:
                self._take(f"open {Path(path).name}")
                if not path.endswith(".tmp"):
                    cut = 0 if flags & os.O_TRUNC or not Path(path).exists() else Path(path).stat().st_size
                    self._open = Path(path), cut, self._acknowledged()
        elif name in _CHANGING and any(str(path).startswith(self._root) for path in args[: _CHANGING[name]]):
            self._take(f"{name} {Path(str(args[0])).name}")

    def committing(self, _: object) -> None:
        """The hook of databases."""
        if not self._busy:
            self._take("commit")

    def _take(self, what: str) -> None:
        self._busy = True
        try:
            state = {str(path): _signature(path) for path in sorted(Path(self._root).rglob("*"))}
            if state == self._last:
                return
            self._last = state
            whole = self._copy(what)
            if self._open is not None:
                self._cut(whole, *self._open)
                self._open = None
        finally:
            self._busy = False

    def _copy(self, what: str) -> Path:
        target = self._into / f"{len(self.images):04d}"
        for path in (Path(self._root), *sorted(Path(self._root).rglob("*"))):
            copy = target / path.relative_to(self._root)
            if path.is_dir() and not path.is_symlink():
                copy.mkdir()
                continue
            signature = _signature(path)
            known = self._known.get(str(path))
            if known is not None and known[0] == signature:
                os.link(known[1], copy, follow_symlinks=False)
            else:
                shutil.copy2(path, copy, follow_symlinks=False)
                self._known[str(path)] = signature, copy
        self.images.append(Image(target, f"{what} {_place()}", self._acknowledged()))
        return target

    def _cut(self, whole: Path, file: Path, former: int, acknowledged: int) -> None:
        """The states before the last: the file that was written since had less in it."""
        copy = whole / file.relative_to(self._root)
        if not copy.is_file() or copy.stat().st_size <= former:
            return
        content, then = copy.read_bytes(), self.images[-1].before
        for size in {former, (former + len(content)) // 2}:
            target = self._into / f"{len(self.images):04d}"
            shutil.copytree(whole, target, symlinks=True, copy_function=os.link)
            (target / file.relative_to(self._root)).unlink()
            (target / file.relative_to(self._root)).write_bytes(content[:size])
            what = f"{'half' if size > former else 'nothing'} written of {file.name}"
            self.images.append(Image(target, f"{what}, then {then}", acknowledged))

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record what happens in the block; for a process that ends soon, since hooks cannot be taken away."""
        sys.addaudithook(self.hear)
        event.listen(Engine, "commit", self.committing)
        self._busy = False
        try:
            yield
        finally:
            self._busy = True


def _place() -> str:
    """The lines of the program and of its tests that led here, the innermost last."""
    frame, lines = sys._getframe(1), []
    while frame is not None:
        file = frame.f_code.co_filename
        if "/ocr_sweep/" in file or "fake_" in file:
            lines.append(f"{Path(file).stem}.{frame.f_code.co_name}:{frame.f_lineno}")
        frame = frame.f_back
    return f"in {' < '.join(lines[:4])}"


def kind_of(image: Image) -> str:
    """What a crash point is, whichever run or epoch it was of."""
    return re.sub(r"[0-9a-f]{32}|\.[0-9a-f]{8}\.|tmp\w+", "#", image.before)


def _signature(path: Path) -> tuple[int, ...]:
    found = path.lstat()
    return found.st_ino, found.st_size, found.st_mtime_ns


class Syncs:
    """Watches that what a process names is durable: power may go off where a kill would cost nothing.

    A kill leaves the kernel's cache alone, so no kill shows a missing fsync. Before a file is renamed its bytes must have
    been synced, afterwards its folder; a new folder needs its parent synced, and a file that is appended to itself. All of
    it before the next thing is acknowledged.
    """

    def __init__(self, root: Path) -> None:
        self.renames = 0
        self.problems: list[str] = []
        self._root = str(root)
        self._written: set[str] = set()  # files with bytes that are not synced
        self._named: dict[str, str] = {}  # folders with names that are not synced, and which
        self._busy = True

    def hear(self, name: str, args: tuple[Any, ...]) -> None:
        """The audit hook."""
        if self._busy or not args or not str(args[0]).startswith(self._root) or _is_unkept(str(args[0])):
            return
        path = str(args[0])
        if name == "open" and isinstance(args[0], str) and args[2] & _WRITING:
            self._written.add(path)
            if not Path(path).exists() and not path.endswith(".tmp"):
                self._named[str(Path(path).parent)] = path
        elif name == "os.mkdir" and not Path(path).exists():
            self._named[str(Path(path).parent)] = path
        elif name == "os.rename":
            self.renames += 1
            if path in self._written and not args[1].startswith(f"{self._root}/mlruns/artifacts"):  # MLflow's own: see `settle`
                self.problems.append(f"{args[1]} got its name before its bytes were synced {_place()}")
            if path in self._written:
                self._written.remove(path)
                self._written.add(str(args[1]))
            self._named[str(Path(args[1]).parent)] = str(args[1])
        elif name == "os.remove":
            self._written.discard(path)

    def synced(self, handle: int) -> None:
        """Hear of an fsync."""
        path = str(Path(f"/proc/self/fd/{handle}").readlink())
        self._written.discard(path)
        self._named.pop(path, None)

    def settle(self, what: str) -> None:
        """Something is acknowledged now: all before it must be durable."""
        if self._busy:
            return
        self.problems += [f"the bytes of {path} were not synced before {what}" for path in sorted(self._written)]
        self.problems += [f"the name {path} was not synced before {what}" for path in sorted(self._named.values())]
        self._written.clear()
        self._named.clear()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch what happens in the block; for a process that ends soon, since hooks cannot be taken away."""
        fsync = os.fsync

        def synced(handle: int) -> None:
            fsync(handle)
            self.synced(handle)

        os.fsync = synced
        sys.addaudithook(self.hear)
        self._busy = False
        try:
            yield
        finally:
            self._busy = True


def _is_unkept(path: str) -> bool:
    """Whether power may take a file away: locks, wishes, signs of life, what processes print."""
    return (
        path.endswith((".lock", "/lock", "/log.txt", "/wish", "/beats"))
        or "/locks" in path
        or "/wish." in path
        or "/.wish." in path
    )


def restore(image: Image, root: Path) -> None:
    """Put a folder into the state of an image."""
    shutil.rmtree(root, ignore_errors=True)
    shutil.copytree(image.path, root, symlinks=True)


def in_a_process(work: Callable[[], Any]) -> Any:
    """Run a function in a fork of this process, which has imported everything; returns what it gives, as JSON knows it.

    Raises:
        AssertionError: it raised something, with its traceback.
    """
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe(duplex=False)
    process = context.Process(target=_report, args=(work, theirs))
    process.start()
    theirs.close()
    try:
        answer = json.loads(mine.recv_bytes())
    except EOFError:
        answer = {"error": "it ended without a word"}
    process.join()
    if "error" in answer:
        raise AssertionError(f"{answer['error']} (exit code {process.exitcode})")
    return answer["result"]


def _report(work: Callable[[], Any], wire: Any) -> None:
    try:
        answer = {"result": work()}
    except BaseException:
        answer = {"error": traceback.format_exc()}
    wire.send_bytes(json.dumps(answer).encode())
    os._exit(0)
