"""What a person decided about single scans, kept as a CSV beside the data: keep, drop, or another label."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ocr_sweep.config.corpus import ScannedConfig
from ocr_sweep.config.fingerprint import fingerprint
from ocr_sweep.corpus.charset import char_of_folder, code_points
from ocr_sweep.corpus.scans import Scan, ScannedSource
from ocr_sweep.disk import store_errors
from ocr_sweep.errors import DataError, NotFoundError

COLUMNS = ("file", "action", "label", "why")
ACTIONS = ("keep", "drop", "relabel")


@dataclass(frozen=True)
class Decision:
    """One row of a decisions file."""

    file: str  # "<source>/U+XXXX/<image>", see `stable_name`
    action: str  # of ACTIONS
    label: str  # the right character; empty unless the action is relabel
    why: str
    line: int  # of the file


def stable_name(name: str) -> str:
    """The name of an image, for a scan "<source>/U+XXXX/<file>": the same on every machine, and fit for any text file."""
    return name.encode("utf-8", "backslashreplace").decode()


def read_decisions(path: Path) -> list[Decision]:
    """Read a decisions file; its rows are not yet compared with any corpus.

    Raises:
        NotFoundError: there is no such file.
        DataError: it is no CSV with the four columns.
        StoreError: it cannot be read.
    """
    if not path.is_file():
        raise NotFoundError(f"decisions file {path} does not exist; save it there from the page of `ocr-sweep corpus clean`")
    try:
        with store_errors(f"reading {path}"), path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            columns = [column.strip() for column in reader.fieldnames or ()]
            reader.fieldnames = columns
            if missing := [column for column in COLUMNS if column not in columns]:
                raise DataError(f"{path} must have the columns {', '.join(COLUMNS)}, but lacks {', '.join(missing)}")
            return [_decision(row, reader.line_num) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} must be UTF-8 text with commas and a header, but cannot be read: {error}") from error


def _decision(row: Mapping[str, Any], line: int) -> Decision:
    file, action, label, why = (str(row.get(column) or "") for column in COLUMNS)
    return Decision(file, action.strip(), label.strip(), why, line)


def decide(
    sources: Sequence[ScannedSource], configs: Sequence[ScannedConfig], chars: str, *, data_root: Path
) -> tuple[ScannedSource, ...]:
    """Return the sources as people decided: without what is dropped, and with the right labels.

    Several sources may name one decisions file; each takes the rows that begin with its name.

    Raises:
        NotFoundError: a named file does not exist.
        DataError: a row names no scan, an unknown action or a label outside the charset; the first ten of a file are listed.
    """
    by_path: dict[str, list[ScannedSource]] = {}
    for source, config in zip(sources, configs, strict=True):
        if config.decisions is not None:
            by_path.setdefault(config.decisions, []).append(source)
    decided = {source.name: source for source in sources}
    for name, concerned in by_path.items():
        path = data_root / name
        rows = read_decisions(path)
        _check(path, rows, concerned, chars)
        decided |= {source.name: _apply(source, rows) for source in concerned}
    return tuple(decided[source.name] for source in sources)


def _check(path: Path, rows: Sequence[Decision], sources: Sequence[ScannedSource], chars: str) -> None:
    known = {stable_name(f"{source.name}/{scan.file}") for source in sources for scan in source.scans}
    outside = tuple(f"{source.name}/{code_points(char)}/" for source in sources for char in source.outside)
    problems = list(_problems(rows, known, outside, set(chars)))
    if problems:
        more = f"\n... and {len(problems) - 10} more" if len(problems) > 10 else ""
        raise DataError(f"{len(problems)} rows of {path} cannot be followed:\n" + "\n".join(problems[:10]) + more)


def _problems(rows: Sequence[Decision], known: set[str], outside: tuple[str, ...], chars: set[str]) -> Iterator[str]:
    first: dict[str, int] = {}
    for row in rows:
        place = f"  line {row.line}: "
        if row.file not in known and not row.file.startswith(outside):
            yield f"{place}`file` must name a scan as <source>/U+XXXX/<image>, but there is no {row.file!a}"
        elif row.action not in ACTIONS:
            yield f"{place}`action` must be {', '.join(ACTIONS)}, but got {row.action!a}"
        elif row.action == "relabel" and _char(row.label) not in chars:
            yield f"{place}`label` must be a character of the charset or its U+XXXX, but got {row.label!a}"
        elif (other := first.setdefault(row.file, row.line)) != row.line:
            yield f"{place}{row.file!a} is decided in line {other} already; keep one of them"


def _char(label: str) -> str:
    try:
        return char_of_folder(label)
    except DataError:
        return ""


def _apply(source: ScannedSource, rows: Sequence[Decision]) -> ScannedSource:
    by_file = {row.file: row for row in rows}
    kept: list[Scan] = []
    dropped: list[str] = []
    moved: list[list[str]] = []
    for scan in source.scans:
        row = by_file.get(stable_name(f"{source.name}/{scan.file}"))
        if row is not None and row.action == "drop":
            dropped.append(scan.file)
        elif row is not None and row.action == "relabel" and _char(row.label) != scan.char:
            moved.append([scan.file, _char(row.label)])
            kept.append(replace(scan, char=_char(row.label)))
        else:
            kept.append(scan)
    if not kept:
        raise DataError(f"the decisions drop every scan of source {source.name!r}; take the source out of the recipe instead")
    ordered = tuple(sorted(kept, key=lambda scan: scan.char))  # stable: files stay in order
    effect = fingerprint([dropped, moved]) if dropped or moved else ""
    return replace(source, scans=ordered, dropped=tuple(dropped), decisions=effect)
