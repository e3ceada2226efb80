"""The pictures of a scanned source: character folders beside an optional meta.csv, a label CSV, or boxes on pages."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ocr_sweep.config.corpus import ScannedConfig
from ocr_sweep.config.fingerprint import file_sha256
from ocr_sweep.config.yaml_file import is_file
from ocr_sweep.corpus.archives import is_archive, unpack
from ocr_sweep.corpus.boxes import list_boxed
from ocr_sweep.corpus.charset import char_of_folder, code_points
from ocr_sweep.corpus.fonts import Progress
from ocr_sweep.corpus.labels import keep_training, list_labelled
from ocr_sweep.corpus.scan import Scan, printable
from ocr_sweep.corpus.tables import refuse
from ocr_sweep.disk import store_errors
from ocr_sweep.errors import DataError, NotFoundError

__all__ = ["Scan", "ScannedSource", "list_source", "source_folder"]

_SUFFIXES = {".png", ".jpg", ".jpeg", ".webp", ".bmp"}


@dataclass(frozen=True)
class ScannedSource:
    """A scanned source as it lies on disk."""

    name: str
    scans: tuple[Scan, ...]  # by code point, then by file name; boxes page by page
    sha256: str  # of all that is read: names, picture bytes, groups, rows, boxes, given splits
    outside: dict[str, int]  # pictures of characters that the charset does not hold
    empty: tuple[str, ...]  # characters of the charset whose folder holds no picture
    dropped: tuple[str, ...] = ()  # files that a person decided to leave out
    decisions: str = ""  # hash of what people's decisions change; empty where they change nothing


def list_source(
    config: ScannedConfig,
    chars: str,
    *,
    data_root: Path,
    cache: Path,
    progress: Progress | None = None,
    kind: str = "scanned",
) -> ScannedSource:
    """List and hash the pictures of a scanned or generated source.

    Plain files beside character folders and hidden entries are ignored.

    Pictures of characters outside the charset are counted and left out.

    Args:
        cache: folder in which archives are unpacked.

    Raises:
        NotFoundError: the data root, the folder or the archive does not exist.
        DataError: the archive, a table, a label or a name cannot be used, or there is no picture of the charset at all.
    """
    folder = source_folder(config, data_root, cache, progress, kind)
    with store_errors(f"reading {folder}"):
        scans, empty = _list(config, folder, set(chars))
    wanted = tuple(scan for scan in scans if scan.char in set(chars))
    if not wanted:
        raise DataError(
            f"{kind} source {config.name!r} must hold pictures of the charset's characters, but {folder} has none "
            f"({len({scan.char for scan in scans} | set(empty))} other characters); check `path` and `charset`"
        )
    outside = Counter(scan.char for scan in scans if scan.char not in set(chars))
    with store_errors(f"reading {folder}"):
        return ScannedSource(config.name, wanted, _digest(wanted), dict(sorted(outside.items())), empty)


def _list(config: ScannedConfig, folder: Path, chars: set[str]) -> tuple[list[Scan], tuple[str, ...]]:
    """Return all pictures of a source, and the characters of the charset whose folder is empty."""
    if config.boxes is not None:
        return list_boxed(config, folder), ()
    empty: tuple[str, ...] = ()
    if config.labels is not None:
        scans = list_labelled(config, folder)
    else:
        scans, hollow = _list_folders(config, folder, chars)
        empty = tuple(char for char in hollow if char in chars)
    scans = sorted(scans, key=lambda scan: (scan.char, scan.file))
    return keep_training(config, folder, scans), empty


def _list_folders(config: ScannedConfig, folder: Path, chars: set[str]) -> tuple[list[Scan], list[str]]:
    pictures = {char: [path for part in parts for path in _pictures(part)] for char, parts in _char_folders(folder).items()}
    meta = _Meta.read(folder, config.group)
    scans = [meta.scan(char, path) for char, paths in sorted(pictures.items()) for path in paths]
    places: dict[str, list[str]] = {}
    for scan in scans:
        places.setdefault(scan.file, []).append(printable(f"{scan.path.parent.name}/{scan.path.name}"))
    twice = [f"{' and '.join(names)} are both {file}; rename one" for file, names in places.items() if len(names) > 1]
    refuse(f"scanned source {config.name!r}", twice)
    meta.check(config.name, tuple(scan for scan in scans if scan.char in chars))
    return scans, [char for char, paths in sorted(pictures.items()) if not paths]


def source_folder(config: ScannedConfig, data_root: Path, cache: Path, progress: Progress | None, kind: str) -> Path:
    """Return the folder of a source, or the one that its archive is unpacked to.

    Raises:
        NotFoundError: the data root, the folder or the archive does not exist.
        DataError: the archive cannot be unpacked.
    """
    if not data_root.is_dir():
        raise NotFoundError(f"data root {data_root} does not exist; set OCR_SWEEP_DATA to the folder that holds {config.path!r}")
    folder = data_root / config.path
    if is_archive(config.path) and is_file(folder):
        return unpack(folder, cache, progress)
    if not _is_dir(folder):
        what = "archive" if is_archive(config.path) else "folder"
        raise NotFoundError(
            f"{kind} source {config.name!r}: there is no {what} {config.path!r} under the data root {data_root}; "
            f"put it there, or take the source out of `{kind}`"
        )
    return folder


def _is_dir(path: Path) -> bool:
    try:
        return path.is_dir()
    except (OSError, ValueError):  # too long a name is no folder's
        return False


def count_pictures(folders: Sequence[str], data_root: Path) -> dict[str, int]:
    """Count the pictures of each character over folders under the data root.

    Raises:
        NotFoundError: a folder does not exist.
        DataError: a folder names no character.
    """
    counts: Counter[str] = Counter()
    for name in folders:
        folder = data_root / name
        if not folder.is_dir():
            raise NotFoundError(f"there is no folder of scans {name!r} under the data root {data_root}; set OCR_SWEEP_DATA")
        with store_errors(f"reading {folder}"):
            for char, parts in _char_folders(folder).items():
                counts[char] += sum(len(_pictures(part)) for part in parts)
    return dict(counts)


def _char_folders(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    problems: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_dir():
            continue
        try:
            found.setdefault(char_of_folder(path.name), []).append(path)
        except DataError as error:
            problems.append(str(error))
    if problems:
        more = f"\n... and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError(f"{len(problems)} folders in {folder} name no character:\n" + "\n".join(problems[:10]) + more)
    return found


def _pictures(folder: Path) -> list[Path]:
    return sorted(
        path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def _digest(scans: tuple[Scan, ...]) -> str:
    total = hashlib.sha256()
    pages: dict[Path, str] = {}
    for scan in scans:
        sha256 = pages.get(scan.path) or file_sha256(scan.path)
        if scan.box is not None:
            pages[scan.path] = sha256
        rest = (scan.group, scan.rows, scan.box, scan.split, scan.may_train)
        total.update(f"{scan.file!a} {sha256} {rest!a}\n".encode())
    return total.hexdigest()


@dataclass(frozen=True)
class _Meta:
    """The rows of meta.csv by file; empty where there is no such file."""

    path: Path
    columns: tuple[str, ...]
    rows: dict[str, dict[str, str]]
    group: str | None

    @classmethod
    def read(cls, folder: Path, group: str | None) -> _Meta:
        path = folder / "meta.csv"
        if not path.is_file():
            if group is not None:
                raise DataError(f"`group: {group}` needs {path}, which does not exist; write `group: null` or add the file")
            return cls(path, (), {}, None)
        try:
            columns, rows = _read_csv(path)
        except (UnicodeDecodeError, csv.Error) as error:
            raise DataError(f"{path} must be UTF-8 text with commas and a header, but cannot be read: {error}") from error
        if group is not None and (group not in columns or "file" not in columns):
            raise DataError(f"{path} must have the columns 'file' and {group!r} (`group`), but has: {', '.join(columns)}")
        return cls(path, columns, {row["file"]: row for row in rows if row.get("file")}, group)

    def scan(self, char: str, path: Path) -> Scan:
        own = f"{path.parent.name}/{path.name}"
        row = self.rows.get(own, {})
        file = f"{code_points(char)}/{printable(path.name)}"
        group = f"{self.group}={row[self.group]}" if self.group and row.get(self.group) else f"file={own}"
        return Scan(path, file, char, group, self._crop(own, row))

    def _crop(self, own: str, row: dict[str, str]) -> tuple[int, int] | None:
        if not (row.get("crop_y0") and row.get("crop_y1")):
            return None
        try:
            return int(row["crop_y0"]), int(row["crop_y1"])
        except ValueError:
            raise DataError(f"crop_y0 and crop_y1 must be whole numbers, but {self.path} has others for {own}") from None

    def check(self, name: str, scans: tuple[Scan, ...]) -> None:
        """Without its group a picture could leak from one split into another."""
        if self.group is None:
            return
        lost = [own for own in self._own_names(scans) if own not in self.rows]
        if lost:
            raise DataError(
                f"`group: {self.group}` of source {name!r} needs a row in {self.path} for every picture, but {len(lost)} "
                f"have none, e.g. {printable(', '.join(lost[:10]))}; add the rows or write `group: null`"
            )

    @staticmethod
    def _own_names(scans: tuple[Scan, ...]) -> Iterator[str]:
        return (f"{scan.path.parent.name}/{scan.path.name}" for scan in scans)


def _read_csv(path: Path) -> tuple[tuple[str, ...], list[dict[str, str]]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        rows = [dict(row) for row in reader]
        return tuple(reader.fieldnames or ()), rows
