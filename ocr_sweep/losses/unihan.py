"""Variants of characters, as Unihan_Variants.txt lists them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from ocr_sweep.errors import DataError
from ocr_sweep.losses.pairs import Line, Pairs

FIELDS = frozenset(
    f"k{kind}Variant" for kind in ("Semantic", "SpecializedSemantic", "Z", "Simplified", "Traditional", "Spoofing")
)
_POINT = re.compile(r"U\+([0-9A-F]{4,6})(?:<.*)?$")  # what follows "<" names the dictionaries that say so


def pairs_of_variants(path: Path, lines: Sequence[Line], numbers: Mapping[str, int]) -> Pairs:
    """Read the variants of each character, every one of similarity 1 and in both directions, whichever the file gives.

    Characters that are not in the charset are passed over: the file lists all of Unicode.

    Args:
        numbers: class id of each character.

    Raises:
        DataError: a line is not of this format, or no line has one of FIELDS.
    """
    rows, known = [], False
    for line in lines:
        fields = line.text.split("\t")
        if len(fields) != 3:
            raise DataError(f"{path}: line {line.number} must be code point, field and values, but is {line.text[:60]!r}")
        if fields[1] not in FIELDS:
            continue
        known = True
        own, *others = (_char(path, line, point) for point in (fields[0], *fields[2].split()))
        for other in others:
            if own in numbers and other in numbers:
                rows += [(numbers[own], numbers[other], 1.0), (numbers[other], numbers[own], 1.0)]
    if not known:
        raise DataError(f"{path} must have one of the fields {', '.join(sorted(FIELDS))}, but has none of them")
    return Pairs.of(rows)


def _char(path: Path, line: Line, point: str) -> str:
    found = _POINT.match(point)
    if found is None or int(found[1], 16) > 0x10FFFF:
        raise DataError(f"{path}: line {line.number} must hold code points such as U+4E94, but has {point[:30]!r}")
    return chr(int(found[1], 16))
