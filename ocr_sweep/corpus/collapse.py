"""Classes whose scans look like copies of one picture: true copies, or the prints of one movable type."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ocr_sweep.corpus.audit import name_chars

COLLAPSED_SHARE = 0.5
"""A class has collapsed if more than this share of a source's scans of it show one picture."""

_FEWEST = 4  # scans of one picture: two or three are copies often enough


def collapsed(scans: Iterable[tuple[str, str, str]]) -> dict[str, dict[str, list[int]]]:
    """Find the classes of each source whose scans show one picture for the most part.

    Args:
        scans: source, character and picture of each scan; copies have equal pictures.

    Returns:
        By source and character: how many scans show the commonest picture, and how many there are.
    """
    pictures: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for source, char, picture in scans:
        pictures[source, char][picture] += 1
    found: dict[str, dict[str, list[int]]] = {}
    for (source, char), counts in sorted(pictures.items()):
        alike, total = max(counts.values()), counts.total()
        if alike >= _FEWEST and alike > COLLAPSED_SHARE * total:
            found.setdefault(source, {})[char] = [alike, total]
    return found


def collapse_warnings(manifest: Mapping[str, Any]) -> Iterator[str]:
    """Yield a sentence for each source in which classes have collapsed: which, and what to write in the recipe.

    Args:
        manifest: of a corpus.
    """
    for source, classes in manifest.get("collapsed", {}).items():
        named = _named(sorted(classes, key=lambda char: -classes[char][0]), classes)
        yield (
            f"warning: source {source!r}: most scans of {len(classes)} classes look like copies of one picture, and each such "
            f"group lies in one split: {named}. If they are prints of one movable type and no copies, write "
            "`near_duplicates: false` in this source; then only equal pixels count as copies, and `group` keeps pages whole"
        )


def _named(chars: Sequence[str], classes: Mapping[str, Sequence[int]]) -> str:
    """The characters that collapsed most, the worst with its numbers."""
    alike, total = classes[chars[0]]
    return f"{name_chars(chars)} (of {chars[0]} {alike} of {total})"
