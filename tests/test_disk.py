"""What a full disk, a kill or a rival may do to a file: nothing."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from ocr_sweep.disk import file_lock, read_json, store_errors, write_bytes, write_json
from ocr_sweep.errors import ConflictError, StoreError


def _no_room(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class _FullFile:
    """A file whose disk is full after half of what is written."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def __enter__(self) -> _FullFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def write(self, content: bytes) -> None:
        self._file.write(content[: len(content) // 2])
        _no_room()


def _break(step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if step == "write":
        whole = Path.open
        monkeypatch.setattr(Path, "open", lambda self, mode="r": _FullFile(whole(self, mode)))
    elif step == "fsync":
        monkeypatch.setattr(os, "fsync", _no_room)
    else:
        monkeypatch.setattr(Path, "replace", _no_room)


@pytest.mark.parametrize("step", ["write", "fsync", "rename"])
def test_a_full_disk_leaves_the_old_file_and_nothing_beside_it(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    write_bytes(path, b"old")
    with monkeypatch.context() as broken:
        _break(step, broken)
        with pytest.raises(StoreError, match=r"writing .*checkpoint\.pt failed: No space left on device.*same command again"):
            write_bytes(path, b"new bytes")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
    write_bytes(path, b"new bytes")
    assert path.read_bytes() == b"new bytes"


def test_an_interrupted_write_leaves_nothing_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_bytes(tmp_path / "file", b"content")
    assert list(tmp_path.iterdir()) == []


def test_bytes_are_synced_before_they_get_their_name_and_the_name_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut between any two of these leaves the old file or the new one."""
    seen: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def watched_fsync(handle: int) -> None:
        seen.append("sync folder" if Path(f"/proc/self/fd/{handle}").is_dir() else "sync file")
        fsync(handle)

    def watched_replace(self: Path, target: Path) -> Path:
        seen.append("rename")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", watched_fsync)
    monkeypatch.setattr(Path, "replace", watched_replace)
    write_bytes(tmp_path / "file", b"content")
    assert seen == ["sync file", "rename", "sync folder"]


def test_only_a_disk_that_refuses_is_a_store_error() -> None:
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EACCES):
        with pytest.raises(StoreError, match=r"reading failed: .* \(somewhere\)"), store_errors("reading"):
            raise OSError(number, "", "somewhere")
    with pytest.raises(FileNotFoundError), store_errors("reading"):
        raise FileNotFoundError(errno.ENOENT, "")


def test_json_is_readable_and_finite(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": 1, "a": "草"})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n "a": "草",\n "b": 1\n}\n'
    assert read_json(tmp_path / "a.json") == {"b": 1, "a": "草"}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == {"b": 1, "a": "草"}


_HOLDER = """
import sys, time
from pathlib import Path
from ocr_sweep.disk import file_lock
with file_lock(Path(sys.argv[1]), wait=False):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lock_keeps_another_process_out_until_its_holder_is_killed(tmp_path: Path) -> None:
    path = tmp_path / "locks" / "study.lock"
    holder = subprocess.Popen([sys.executable, "-c", _HOLDER, str(path)], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ConflictError, match="study 'a' is being run"),
            file_lock(path, wait=False, busy="study 'a' is being run"),
        ):
            pass
        with pytest.raises(ConflictError, match=r"study\.lock is locked by another process"), file_lock(path, wait=False):
            pass
        holder.send_signal(signal.SIGKILL)
        with file_lock(path, wait=True):
            pass
    finally:
        holder.kill()
        holder.wait()
        assert holder.stdout is not None
        holder.stdout.close()


def test_a_lock_is_released_when_its_block_ends_badly(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), file_lock(tmp_path / "lock", wait=False):
        raise ZeroDivisionError
    with file_lock(tmp_path / "lock", wait=False):
        pass


def _add_many(path: Path, lock: Path) -> None:
    for _ in range(50):
        with file_lock(lock, wait=True):
            write_json(path, read_json(path) + 1)


def test_two_processes_under_one_lock_lose_no_count(tmp_path: Path) -> None:
    write_json(tmp_path / "count", 0)
    fork = multiprocessing.get_context("fork")
    workers = [fork.Process(target=_add_many, args=(tmp_path / "count", tmp_path / "lock")) for _ in range(2)]
    began = time.monotonic()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert time.monotonic() - began < 30
    assert read_json(tmp_path / "count") == 100
