"""The code of a past run in a worktree of its own, and the environment that it was run in."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.config.paths import Paths
from ocr_sweep.disk import file_lock, make_directory, new_aside, store_errors, write_bytes
from ocr_sweep.errors import EvidenceError
from ocr_sweep.tracking.git import git
from ocr_sweep.tracking.provenance import PACKAGE, code_sha256, installed

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*\Z")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.!+_-]*\Z")


@dataclass(frozen=True)
class OldCode:
    """A program as it was."""

    root: Path  # of the worktree; the package lies in it
    python: Path  # with the libraries of then


def reproduce_there(old: OldCode, run_id: str, num_steps: int | None, paths: Paths) -> int:
    """Let the old program reproduce the run, in the project as it is; returns its exit code."""
    steps = [] if num_steps is None else ["--steps", str(num_steps)]
    command = [str(old.python), "-P", "-m", PACKAGE.name, "runs", "reproduce", run_id, *steps]
    environment = {**os.environ, "PYTHONPATH": str(old.root), "OCR_SWEEP_HOME": str(paths.root)}
    with subprocess.Popen(command, env=environment) as child:
        while True:
            try:
                return child.wait()
            except KeyboardInterrupt:  # the child heard it, too, and ends by itself
                continue


def check_out(run_id: str, then: dict[str, Any], paths: Paths, say: Callable[[str], None]) -> OldCode:
    """Lay out the code of a run's provenance, and an environment with its libraries; both are kept and found again.

    Where the libraries of then are those of now, the environment of now serves. Else a new one is made by pip from the
    names and versions that were recorded, and from nothing else.

    Raises:
        EvidenceError: the code or the environment of then cannot be had here.
        StoreError: the disk refuses.
    """
    folder = paths.mlruns / "checkouts"
    with store_errors(f"writing {folder}"):
        make_directory(folder)
    with file_lock(paths.lock("checkouts"), wait=True):
        root = _code(run_id, then["code"], folder, say)
        return OldCode(root, _python(run_id, then, folder, say))


def _code(run_id: str, code: dict[str, Any], folder: Path, say: Callable[[str], None]) -> Path:
    commit, sha256, repository = code["commit"], code["sha256"], PACKAGE.parent
    if commit is None:
        raise EvidenceError(
            f"run {run_id} was trained by code outside git, so there is nothing to check out; leave --checkout out"
        )
    root = folder / f"code-{sha256[:16]}"
    if root.exists() and code_sha256(root / PACKAGE.name) == sha256:
        return root
    if git(repository, "cat-file", "-e", f"{commit}^{{commit}}") is None:
        raise EvidenceError(f"commit {commit} of run {run_id} is not in {repository}; fetch it with git, then run this again")
    say(f"checking out commit {commit[:12]}{' with the changes that were not committed' if code['patch'] else ''} into {root}")
    _remove(repository, root)
    aside = new_aside(root)
    git(repository, "worktree", "prune")
    if git(repository, "worktree", "add", "--detach", "--force", str(aside), commit) is None:
        raise EvidenceError(f"git cannot make a worktree of commit {commit} in {aside}; try it by hand: git worktree add")
    if code["patch"] and git(aside, "apply", "--binary", "--whitespace=nowarn", "-", given=code["patch"]) is None:
        _remove(repository, aside)
        raise EvidenceError(f"the changes of run {run_id} that were not committed do not apply to commit {commit}")
    came = code_sha256(aside / PACKAGE.name)
    if came != sha256:
        _remove(repository, aside)
        why = "; its changes were too large or no text, and are not on record" if code["patch"] is None else ""
        raise EvidenceError(
            f"the code of run {run_id} had sha256 {sha256[:12]}…, but commit {commit[:12]} gives {came[:12]}…{why}"
        )
    if git(repository, "worktree", "move", str(aside), str(root)) is None:
        raise EvidenceError(
            f"git cannot move the worktree {aside} to {root}; remove it by `git worktree remove`, and run this again"
        )
    return root


def _remove(repository: Path, worktree: Path) -> None:
    if worktree.exists():
        git(repository, "worktree", "remove", "--force", str(worktree))
        shutil.rmtree(worktree, ignore_errors=True)


def _python(run_id: str, then: dict[str, Any], folder: Path, say: Callable[[str], None]) -> Path:
    lock: dict[str, str] | None = then.get("lock")
    if lock is None:
        raise EvidenceError(
            f"run {run_id} recorded no complete list of its packages, as those of former versions; leave --checkout out"
        )
    version = ".".join(then["machine"]["python"].split(".")[:2])
    same = lock == installed() and version == ".".join(map(str, sys.version_info[:2]))
    if same:
        return Path(sys.executable)
    if wrong := [name for name, number in lock.items() if not (_NAME.match(name) and _VERSION.match(number))]:
        raise EvidenceError(f"the packages of run {run_id} must be names and versions, but got {wrong[0]!r} {lock[wrong[0]]!r}")
    environment = folder / f"env-{fingerprint([version, lock])[:16]}"
    python = environment / "bin" / "python"
    finished = environment / "finished"
    if finished.exists():
        return python
    say(f"installing the {len(lock)} packages of then into {environment} (some minutes, once)")
    shutil.rmtree(environment, ignore_errors=True)
    interpreter = shutil.which(f"python{version}")
    if interpreter is None:
        raise EvidenceError(f"run {run_id} used Python {version}, but there is no python{version} on the PATH; install it")
    _installed(run_id, [interpreter, "-m", "venv", str(environment)])
    write_bytes(environment / "lock.txt", "".join(f"{name}=={number}\n" for name, number in lock.items()).encode())
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary", ":all:"]
    _installed(run_id, [*pip, "--requirement", str(environment / "lock.txt")])
    write_bytes(finished, b"")
    return python


def _installed(run_id: str, command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, errors="replace")
    if done.returncode:
        said = next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "nothing")
        raise EvidenceError(
            f"the environment of run {run_id} cannot be made here: `{' '.join(command[:4])} …` says: {said.strip()}"
        )
