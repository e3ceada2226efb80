"""Label CSVs: which picture shows which character, and which pictures may train."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ocr_sweep.config.corpus import ScannedConfig
from ocr_sweep.corpus.charset import char_of_folder, code_points
from ocr_sweep.corpus.scan import Scan, find_inside, printable
from ocr_sweep.corpus.splits import SPLITS
from ocr_sweep.corpus.tables import Table, read_table
from ocr_sweep.errors import DataError

_CROP = ("crop_y0", "crop_y1")


def list_labelled(config: ScannedConfig, folder: Path) -> list[Scan]:
    """List the pictures that the label CSV of a source names.

    Columns: `file` (relative to the folder), `label` (a character or U+XXXX), the column that `group` names, and where
    wanted `split` (train, val or test, which then wins over the shares) and `crop_y0`, `crop_y1` (rows to keep).

    Raises:
        DataError: with the first ten problems: columns that are missing, unknown or double, files that do not exist or are
            named twice, labels that are no character, empty groups, other splits.
    """
    group = (config.group,) if config.group is not None else ()
    table = read_table(table_path(folder, config.labels or "", "labels"), ("file", "label", *group), ("split", *_CROP))
    seen: dict[str, tuple[int, str]] = {}
    scans = [scan for line, row in table.rows if (scan := _scan(table, line, row, folder, config.group, seen)) is not None]
    table.refuse()
    return scans


def table_path(folder: Path, name: str, key: str) -> Path:
    """The path of a table that a recipe names under `key`, relative to the source's folder.

    Raises:
        DataError: there is no such file inside the folder.
    """
    try:
        return find_inside(folder, name)[1]
    except ValueError as error:
        raise DataError(f"`{key}: {name}` must name a file relative to the source's folder {folder}, but {error}") from None


def _scan(
    table: Table, line: int, row: dict[str, str], folder: Path, group: str | None, seen: dict[str, tuple[int, str]]
) -> Scan | None:
    """One row as a scan; None if something is wrong with it, which is noted in the table."""
    before = len(table.problems)
    try:
        own, path = find_inside(folder, row["file"])
    except ValueError as error:
        own, path = row["file"], folder
        table.add(line, str(error))
    _note_repeated(table, line, own, row["label"], seen)
    char = label_char(table, line, row["label"])
    rows = _rows(table, line, row)
    if row.get("split", "train") not in SPLITS:
        table.add(line, f"`split` must be train, val or test, but is {row['split']!a}")
    if group is not None and not row[group]:
        table.add(line, f"the group {group!r} is empty: without it, the picture could leak from one split into another")
    if len(table.problems) > before:
        return None
    named = f"{group}={row[group]}" if group is not None else f"file={own}"
    return Scan(path, f"{code_points(char)}/{printable(own)}", char, named, rows, split=row.get("split"))


def label_char(table: Table, line: int, label: str) -> str:
    """The character that a label names; a label that names none is noted in the table."""
    try:
        return char_of_folder(label, kind="label")
    except DataError as error:
        table.add(line, str(error))
        return "?"


def _note_repeated(table: Table, line: int, own: str, label: str, seen: dict[str, tuple[int, str]]) -> None:
    first, other = seen.setdefault(own, (line, label))
    if first != line:
        labels = f" as {printable(label)} and there as {printable(other)}" if label != other else ""
        table.add(line, f"{printable(own)!r} is named again{labels}; the first time is line {first}")


def _rows(table: Table, line: int, row: dict[str, str]) -> tuple[int, int] | None:
    values = [row.get(name, "") for name in _CROP]
    if not any(values):
        return None
    if not all(value.isascii() and value.isdigit() for value in values) or int(values[0]) >= int(values[1]):
        table.add(
            line, f"crop_y0 and crop_y1 must be whole numbers, the first the smaller, but are {values[0]!a} and {values[1]!a}"
        )
        return None
    return int(values[0]), int(values[1])


def keep_training(config: ScannedConfig, folder: Path, scans: list[Scan]) -> list[Scan]:
    """Mark the scans that may train: those that the CSV `train_only` names. Which split a scan falls to stays as it was.

    Columns: `file` as in the source, and where wanted `label`, which must then agree with the source.

    Raises:
        DataError: with the first ten problems: other columns, files that the source does not have, names that repeat, labels
            that disagree.
    """
    if config.train_only is None:
        return scans
    table = read_table(table_path(folder, config.train_only, "train_only"), ("file",), ("label",))
    chars = {scan.path.relative_to(folder).as_posix(): scan.char for scan in scans}
    seen: dict[str, tuple[int, str]] = {}
    for line, row in table.rows:
        _note_repeated(table, line, row["file"], row.get("label", ""), seen)
        if row["file"] not in chars:
            table.add(line, f"{printable(row['file'])!r} is no picture of source {config.name!r}")
        elif "label" in row and (char := label_char(table, line, row["label"])) not in ("?", chars[row["file"]]):
            table.add(line, f"{row['file']!r} shows {chars[row['file']]} in source {config.name!r}, but is labelled {char}")
    table.refuse()
    return [replace(scan, may_train=scan.path.relative_to(folder).as_posix() in seen) for scan in scans]
