"""A table of pairs: char<TAB>char<TAB>weight, a line for each; so come the confusions of a recogniser."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from ocr_sweep.config.chars import code_points, listed
from ocr_sweep.errors import DataError


class Line(NamedTuple):
    """One line of a text file."""

    number: int  # from 1
    text: str


class Pairs(NamedTuple):
    """Pairs of classes with a similarity each: class `second` is a neighbour of class `first`."""

    first: NDArray[np.int64]  # (P,)
    second: NDArray[np.int64]  # (P,)
    similarity: NDArray[np.float64]  # (P,)

    @classmethod
    def of(cls, rows: Sequence[tuple[int, int, float]]) -> Pairs:
        """Make the columns from the rows."""
        first, second, similarity = zip(*rows, strict=True) if rows else ((), (), ())
        return cls(np.array(first, np.int64), np.array(second, np.int64), np.array(similarity, np.float64))


def read_pairs(path: Path, lines: Sequence[Line], numbers: Mapping[str, int]) -> Pairs:
    """Read a table as it stands: the second character is a neighbour of the first, and not the other way round.

    Args:
        numbers: class id of each character.

    Raises:
        DataError: a line is no pair, its weight no number above 0, a pair stands there twice, or characters are unknown.
    """
    parts = [_fields(path, line) for line in lines]
    unknown = dict.fromkeys(char for a, b, _ in parts for char in (a, b) if char not in numbers)
    if unknown:
        named = listed([f"{char} {code_points(char)}" for char in unknown])
        raise DataError(f"{path} must name characters of the charset only, but these are not in it: {named}; take them out")
    seen: dict[tuple[str, str], int] = {}
    for (a, b, _), line in zip(parts, lines, strict=True):
        if (a, b) in seen:
            raise DataError(f"{path} must name each pair once, but {a} {b} stands on lines {seen[a, b]} and {line.number}")
        seen[a, b] = line.number
    return Pairs.of([(numbers[a], numbers[b], weight) for a, b, weight in parts])


def _fields(path: Path, line: Line) -> tuple[str, str, float]:
    fields = line.text.split("\t")
    if len(fields) != 3 or len(fields[0]) != 1 or len(fields[1]) != 1 or fields[0] == fields[1]:
        raise DataError(
            f"{path}: line {line.number} must be two different characters and a weight, with tabs between, "
            f"but is {line.text[:60]!r}"
        )
    try:
        weight = float(fields[2])
    except ValueError:
        weight = math.nan
    if not 0 < weight < math.inf:
        raise DataError(f"{path}: the weight on line {line.number} must be a number above 0, but is {fields[2][:30]!r}")
    return fields[0], fields[1], weight
