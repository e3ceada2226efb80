"""CSV files that people write: every mistake is found, and said with its line."""

from __future__ import annotations

import csv
import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ocr_sweep.errors import DataError

_MOST = 10  # problems that an error lists


@dataclass(frozen=True)
class Table:
    """A CSV file with a header."""

    path: Path
    columns: tuple[str, ...]
    rows: list[tuple[int, dict[str, str]]]  # line number and values by column
    problems: list[str] = field(default_factory=list)  # "line 7: ..."

    def add(self, line: int, problem: str) -> None:
        """Note what is wrong with a row."""
        self.problems.append(f"line {line}: {problem}")

    def refuse(self) -> None:
        """Raise a DataError if any problem was noted."""
        refuse(str(self.path), self.problems)


def refuse(what: str, problems: Sequence[str]) -> None:
    """Raise a DataError that lists the first ten problems, if there are any."""
    if len(problems) == 1:
        raise DataError(f"{what} cannot be used: {problems[0]}")
    if problems:
        more = f"\n  ... and {len(problems) - _MOST} more" if len(problems) > _MOST else ""
        listed = "\n".join(f"  {problem}" for problem in problems[:_MOST])
        raise DataError(f"{what} cannot be used, because of {len(problems)} problems:\n{listed}{more}")


def read_table(path: Path, needed: Collection[str], optional: Collection[str] | None) -> Table:
    """Read a CSV file: UTF-8, commas, a header, and as many fields in each row. Empty lines are passed over.

    Args:
        needed: columns that must be there.
        optional: columns that may be there; None: any.

    Raises:
        DataError: the file is no such text, or columns are missing, unknown or double. Rows with too few or too many fields
            are noted in `problems`.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            columns = tuple(next(reader, ()))
            refuse(str(path), [f"line 1: {problem}" for problem in _header_problems(columns, needed, optional)])
            table = Table(path, columns, [])
            for values in reader:
                if values and len(values) != len(columns):
                    table.add(reader.line_num, f"must have {len(columns)} fields as the header has, but has {len(values)}")
                elif values:
                    table.rows.append((reader.line_num, dict(zip(columns, values, strict=True))))
            return table
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} must be UTF-8 text with commas and a header, but cannot be read: {error}") from error


def _header_problems(columns: Sequence[str], needed: Collection[str], optional: Collection[str] | None) -> Iterator[str]:
    for name in needed:
        if name not in columns:
            yield f"the column {name!r} is missing; the header has: {', '.join(columns) or 'nothing'}"
    for name in dict.fromkeys(columns):
        if columns.count(name) > 1:
            yield f"the column {name!a} is there {columns.count(name)} times"
        if optional is not None and name not in needed and name not in optional:
            known = [*needed, *optional]
            close = difflib.get_close_matches(name, known, n=1)
            yield f"unknown column {name!a}; " + (f"did you mean {close[0]!r}?" if close else f"known ones: {', '.join(known)}")
