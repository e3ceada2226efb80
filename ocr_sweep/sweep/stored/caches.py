"""What a project keeps only to be faster next time: unpacked archives, checkpoints of the GAN, coverage of fonts, and so on."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.config.paths import Paths
from ocr_sweep.corpus.archives import origin_file, origins
from ocr_sweep.corpus.room import size_of
from ocr_sweep.disk import file_lock, read_json, store_errors
from ocr_sweep.errors import ConflictError
from ocr_sweep.sweep.stored.listing import StoredCorpus

_DAY = 24 * 3600  # seconds
_RECENT = {"archives": _DAY, "gan": 7 * _DAY, "representations": 7 * _DAY, "coverage": 30 * _DAY}
"""What was used so lately stays, whatever refers to it: a build, a training or a study may go on with it."""


@dataclass(frozen=True)
class Cached:
    """One thing in the cache."""

    kind: str  # the folder of the cache that it lies in
    path: Path
    files: tuple[Path, ...]  # everything that goes with it
    bytes: int
    origin: str  # for people: what it was made from
    needed: str  # why it stays; empty where nothing refers to it
    lock: Path | None = None  # held by whoever makes or reads it


def stored_caches(paths: Paths, corpora: Iterable[StoredCorpus]) -> list[Cached]:
    """List the cache, kind by kind.

    Args:
        corpora: those that stay; their recipes refer to archives.
    """
    found = [*_archives(paths, corpora), *_gan(paths), *_representations(paths), *_coverage(paths)]
    return sorted(found, key=lambda one: (list(_RECENT).index(one.kind), one.path))


def collect_cache(paths: Paths, corpora: Iterable[StoredCorpus], *, dry_run: bool) -> list[Cached]:
    """Remove from the cache what nothing refers to and nobody holds; return it.

    Raises:
        StoreError: the disk refuses.
    """
    gone = [one for one in stored_caches(paths, corpora) if not one.needed]
    return gone if dry_run else [one for one in gone if _remove(one)]


def _remove(one: Cached) -> bool:
    with store_errors(f"removing {one.path}"):
        if one.lock is None:
            _delete(one.files)
            return True
        try:
            with file_lock(one.lock, wait=False):
                _delete(one.files)
        except ConflictError:
            return False
    return True


def _delete(files: Iterable[Path]) -> None:
    """Delete files; a folder leaves its name by one rename first, so that nobody reads half of one."""
    for path in files:
        if not path.is_dir():
            path.unlink(missing_ok=True)
            continue
        aside = path.with_name(f".{path.name}.tmp")
        shutil.rmtree(aside, ignore_errors=True)
        path.rename(aside)
        shutil.rmtree(aside)


def _archives(paths: Paths, corpora: Iterable[StoredCorpus]) -> Iterator[Cached]:
    folder = paths.cache / "archives"
    recipes = "\n".join([*_texts(paths), *(path for corpus in corpora for path in corpus.sources)])
    for path in _entries(folder):
        if path.name.endswith(".json"):
            continue
        if path.name.endswith(".tmp"):  # what a killed unpacking left
            yield _cached("archives", path, (path,), "cut short", "", folder / f"{path.name[:-4]}.lock")
            continue
        archives = [Path(name) for name, seen in origins(path).items() if _unchanged(Path(name), seen)]
        named = [archive for archive in archives if _below(archive, paths.data) in recipes]
        needed = f"a recipe names {_below(named[0], paths.data)}" if named else ""
        origin = ", ".join(_below(Path(name), paths.data) for name in origins(path)) or "an archive of unknown name"
        files = (path, origin_file(path))
        yield _cached("archives", path, files, origin, needed, folder / f".{path.name}.lock", used=origin_file(path))


def _texts(paths: Paths) -> Iterator[str]:
    """The study and recipe files as they stand: what is named in a comment is named, too."""
    for file in sorted(paths.sweeps.rglob("*.yaml")):
        with suppress(OSError):
            yield file.read_text(encoding="utf-8", errors="replace")


def _unchanged(archive: Path, seen: list[int]) -> bool:
    try:
        now = archive.stat()
    except OSError:
        return False
    return [now.st_size, now.st_mtime_ns] == seen


def _below(path: Path, root: Path) -> str:
    """The path as a recipe writes it."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _gan(paths: Paths) -> Iterator[Cached]:
    """Checkpoints: those that a generated folder was drawn with can draw other characters in a moment."""
    known = dict(_drawn_with(paths.data / "generated"))
    for path in _entries(paths.cache / "gan"):
        if path.suffix not in (".generator", ".recogniser"):
            continue
        name = known.get(path.stem, "")
        needed = f"generated/{name} was drawn with it" if name else "" if paths.data.is_dir() else "the data root is away"
        lock = path.with_suffix(".lock") if path.suffix == ".generator" else None
        yield _cached("gan", path, (path,), f"a {path.suffix[1:]}", needed, lock)


def _drawn_with(generated: Path) -> Iterator[tuple[str, str]]:
    """The checkpoints that each generated folder names, and its name."""
    for report in generated.glob("*/report.json"):
        with suppress(OSError, ValueError, AttributeError):
            yield from ((str(key), report.parent.name) for key in read_json(report).get("checkpoints", {}).values())


def _representations(paths: Paths) -> Iterator[Cached]:
    """First stages that trials of a study share: any can go when no trial is in progress."""
    busy = any((paths.mlruns / "work").glob("*/*/job.json"))
    for path in _entries(paths.cache / "representations"):
        needed = "a trial is in progress" if busy else ""
        yield _cached("representations", path, (path,), "a shared first stage", needed, path / "lock" if path.is_dir() else None)


def _coverage(paths: Paths) -> Iterator[Cached]:
    for path in _entries(paths.cache / "coverage"):
        yield _cached("coverage", path, (path,), "what a font draws", "", None)


def _entries(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix != ".lock"] if folder.is_dir() else []


def _cached(
    kind: str, path: Path, files: tuple[Path, ...], origin: str, needed: str, lock: Path | None, used: Path | None = None
) -> Cached:
    if not needed and time.time() - _last_use(used or path) < _RECENT[kind]:
        needed = f"used in the last {_RECENT[kind] // _DAY} days" if _RECENT[kind] > _DAY else "used in the last day"
    present = tuple(file for file in files if file.exists())
    return Cached(kind, path, present, sum(map(_size, present)), origin, needed, lock)


def _size(path: Path) -> int:
    return size_of(path) if path.is_dir() else path.stat().st_size


def _last_use(path: Path) -> float:
    files = [path, *path.rglob("*")] if path.is_dir() else [path]
    return max((file.stat().st_mtime for file in files if file.exists()), default=0.0)
