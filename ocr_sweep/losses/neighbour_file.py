"""Neighbours from a user's file; its content tells which of the known formats it has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ocr_sweep.errors import DataError
from ocr_sweep.losses.ids import pairs_of_ids
from ocr_sweep.losses.neighbours import Neighbours, neighbours_of_pairs
from ocr_sweep.losses.pairs import Line, read_pairs
from ocr_sweep.losses.unihan import pairs_of_variants

_UNIHAN = re.compile(r"U\+[0-9A-F]{4,6}\tk\w+\t")
_IDS = re.compile(r"U\+[0-9A-F]{4,6}\t.\t.")
_PAIR = re.compile(r".\t.\t[^\t]+$")
_KNOWN = "ids.txt of cjkvi-ids, Unihan_Variants.txt, or a table char<TAB>char<TAB>weight"


def neighbours_of_file(path: Path, chars: str, k: int) -> Neighbours:
    """Return at most k neighbours of each character of a charset.

    Args:
        chars: the charset in class order. ids.txt and Unihan_Variants.txt speak of many more; a table of pairs may not.

    Raises:
        DataError: the file is not UTF-8, has none of the known formats, or says something that cannot be.
    """
    lines = _lines(path)
    if not lines:
        raise DataError(f"{path} must be {_KNOWN}, but has no line")
    numbers = {char: i for i, char in enumerate(chars)}
    if _UNIHAN.match(lines[0].text):
        found = pairs_of_variants(path, lines, numbers)
    elif _IDS.match(lines[0].text):
        found = pairs_of_ids(path, lines, chars)
    elif _PAIR.match(lines[0].text):
        found = read_pairs(path, lines, numbers)
    else:
        raise DataError(f"{path} must be {_KNOWN}, but line {lines[0].number} is {lines[0].text[:60]!r}")
    return neighbours_of_pairs(*found, len(chars), k)


def _lines(path: Path) -> list[Line]:
    """The lines with something on them, comments left out."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{path} must be UTF-8, but byte {error.start} is not; save it as UTF-8") from None
    return list(_told(text))


def _told(text: str) -> Iterator[Line]:
    for number, line in enumerate(text.splitlines(), start=1):
        if line.strip() and not re.match(r"#(?!\t.\t)|;;", line):  # "#" itself may be a character of a table
            yield Line(number, line.rstrip())
